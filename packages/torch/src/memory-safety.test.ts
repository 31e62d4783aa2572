// No argument makes an op read or write what is not its own: calls that once did, or never ended, by name, in a process of
// their own, where a failure is a crash. border.test.ts draws calls of every op at random.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { fusedKernels } from "./index.js";

interface Ended {
  stdout: string;
  stderr: string;
  signal: string | null;
}

function run(script: string, ...args: string[]): Promise<Ended> {
  const file = fileURLToPath(new URL(`../test/${script}`, import.meta.url));
  const options = { timeout: 100_000, maxBuffer: 1 << 26 };
  return promisify(execFile)(process.execPath, [file, ...args], options).then(
    (ended) => ({ ...ended, signal: null }),
    (ended: Ended & { code?: number }) => ({ ...ended, signal: ended.signal ?? `code ${ended.code}` }),
  );
}

describe("an error, or the right result, comes of", () => {
  const outcomes: [name: string, outcome: string | RegExp | unknown][] = [
    [
      "attention with v longer than k",
      "scaledDotProductAttention: expected q [.., T, D], k [.., S, D] and v [.., S, E], got",
    ],
    ["attention with v a little longer than k", "got [1, 1, 3, 4], [1, 1, 3, 4] and [1, 1, 5, 4]"],
    ["attention with v shorter than k", "got [1, 1, 3, 4], [1, 1, 4096, 4] and [1, 1, 3, 4]"],
    ["attention of no heads", []],
    ["attention of no batch", []],
    ["packed attention of no heads", []],
    ["packed dropout with borders that end early", "packedAttention: expected cuSeqlens from 0 to N = 4, got [0, 2]"],
    ["packed dropout with borders that fall", "packedAttention: expected cuSeqlens that do not fall, got [0, 3, 1, 4]"],
    ["packed dropout with borders beyond all memory", "packedAttention: expected cuSeqlens from 0 to N = 4, got"],
    ["packed dropout with borders that begin late", "packedAttention: expected cuSeqlens from 0 to N = 4, got [2, 4]"],
    ["packed dropout of fewer keys", "packedAttention: expected q [N, H, D] with k and v [N, K, D]"],
    ["packed dropout without tokens", []],
    [
      "a gated linear layer whose unit has fewer rows than x",
      "fusedGatedLinear: expected x [.., 2I], its unit [.., I]",
    ],
    ["a gated linear layer of numbers", "fusedGatedLinear: expected x [.., 2I], its unit [.., I]"],
    [
      "a shape whose bytes wrap around",
      "borrow: expected a shape of the array's size, got [4, 1048577, 1099510579201]",
    ],
    [
      "a shape whose bytes wrap around to none",
      "borrow: expected a shape of the array's size, got [4294967296, 4294967296]",
    ],
    ["an array over a buffer that may shrink", "borrow: expected an array whose buffer keeps its size"],
    ["an optimizer's mean that is shorter than its parameter", "Adam: expected a running mean Float [1048576] on cpu"],
    [
      "an optimizer's mean of float32 beside a parameter of float64",
      "Adam: expected a running mean of squares Double [1048576]",
    ],
    ["angles of cosines alone", "fusedSplitQkv: expected cos and sin or neither, got cos alone"],
    ["a product into another shape", "matmulOut: expected out of shape [2, 4], got [2, 3]"],
    [
      "a generator's state that points behind its table",
      "setGeneratorState: expected a generator's state, got one with 624",
    ],
    ["more threads than a system starts", "setNumThreads: expected 1 to 1,024 threads, got 2147483649"],
    ["unequal lists of an optimizer's tensors", "fusedAdam_: internal: expected lists of 2 parameters"],
    ["integers at steps below one", "arange: expected integers for int64, got -1 to 1 by 0.1"],
    ["a range of integers beyond int64", "arange: expected at most 2^38 elements, got"],
    ["repeats whose product wraps around", "repeat: expected a tensor of at most 2^38 elements, got [4] repeated"],
    ["more parts than a list holds", "chunk: expected at most 2^22 parts, got 1099511627776"],
    ["parts of next to nothing", "split: expected a whole size of 1 or more, got 1e-9"],
    [
      "a view of more elements than are worked through in a day",
      "expand: expected a tensor of at most 2^38 elements, got [1125899906842624]",
    ],
    ["a tensor larger than the machine's memory", "empty: can't allocate memory for a tensor of 549755813888 bytes"],
    ["a diagonal at the end of int64", 2060],
    ["an argument that throws when it is written out", "exp: expected a tensor, got an object"],
    ["a list that is a proxy", "cat: expected an array, got"],
  ];
  let ended: Ended;
  beforeAll(async () => {
    ended = await run("misuse.mjs");
  });

  const isOfKernels = ([, outcome]: (typeof outcomes)[number]) => `${outcome}`.startsWith("fused");
  test.each(outcomes.filter((one) => fusedKernels() || !isOfKernels(one)))("%s", (name, expected) => {
    const got = new Map(ended.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line) as [string, unknown])); // biome-ignore format: one thing
    expect(
      got.has(name),
      `the process ended by ${ended.signal} after "${[...got.keys()].at(-1)}"\n${ended.stderr}`,
    ).toBe(true);
    if (typeof expected === "string") expect(got.get(name)).toContain(expected);
    else expect(got.get(name)).toEqual(expected);
  });

  test("every call that is listed, and no other", () => {
    expect(ended.stdout.split("\n")).toHaveLength(outcomes.length + 1);
  });
});
