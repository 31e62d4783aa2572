import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { compiledFile } from "../../files/package.js";
import type { Part } from "../../files/part.js";
import { createBatches } from "../batches.js";
import { inspectData } from "../inspect.js";
import { randomBelow } from "../random.js";
import { rangeOfPart } from "../read/read-files.js";
import { openShards } from "../shards.js";
import { mergeParts } from "./merge.js";
import { type PrepareOptions, prepareData } from "./prepare.js";

const root = mkdtempSync(join(tmpdir(), "neobert-parts-"));
afterAll(() => rmSync(root, { recursive: true }));

const words = "the river mountain winter summer people government union states free bread light".split(" ");
const tokenizer = join(root, "tokenizer");
mkdirSync(tokenizer);
writeFileSync(join(tokenizer, "vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...words].join("\n"));

/** Seven files of very different sizes, 300 documents together. */
const sources = join(root, "input");
mkdirSync(sources);
for (const [file, documents] of [3, 120, 1, 40, 60, 75, 1].entries()) {
  const texts = Array.from({ length: documents }, (_, document) => {
    const length = 1 + randomBelow(40, file, 1, document);
    return Array.from({ length }, (_, word) => words[randomBelow(words.length, file, document, word)]).join(" ");
  });
  writeFileSync(join(sources, `${file}.jsonl`), texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
}

let folders = 0;
const optionsOf = (more: Partial<PrepareOptions> = {}): PrepareOptions => ({
  sources,
  tokenizer,
  out: join(root, `out-${folders++}`),
  shardTokens: 700,
  validation: { fraction: 0.1, seed: 3 },
  workers: 1,
  ...more,
});

async function prepareParts(numbers: number[], of: number): Promise<string> {
  const options = optionsOf();
  for (const number of numbers) await prepareData({ ...options, part: { number, of } });
  return options.out;
}

function batchesOf(path: string) {
  const sources = [{ path, weight: 1 }];
  const batches = createBatches({ sources, maxLength: 24, tokensPerStep: 400, microBatchTokens: 200, seed: 5 });
  const steps = Array.from({ length: 40 }, () => batches.nextStep().microBatches);
  batches.close();
  return steps;
}

test("whatever the number of parts and the order in which they are prepared, a run has the same batches", async () => {
  const whole = await prepareData(optionsOf());
  const expected = { train: batchesOf(whole.train.folder), validation: batchesOf(whole.validation!.folder) };
  const fingerprints: string[] = [];
  for (const numbers of [[1], [2, 1], [1, 2, 3], [3, 1, 2]]) {
    const out = await prepareParts(numbers, numbers.length);
    const { parts, splits } = mergeParts(out);
    expect(parts).toBe(numbers.length);
    expect(splits.map(({ documents, tokens }) => ({ documents, tokens }))).toEqual(
      [whole.train, whole.validation!].map(({ documents, tokens }) => ({ documents, tokens })),
    );
    for (const split of ["train", "validation"] as const) expect(batchesOf(join(out, split))).toEqual(expected[split]);
    const { manifest, fingerprint } = openShards(join(out, "train"));
    expect(manifest.sources).toEqual(openShards(whole.train.folder).manifest.sources);
    expect(readdirSync(join(out, "train"))).toEqual(["manifest.json"]); // nothing is copied
    expect(inspectData(join(out, "train")).documents).toBe(whole.train.documents);
    fingerprints.push(fingerprint);
  }
  // The shards of one part are those of the whole; the order of preparing leaves no trace.
  expect(fingerprints[0]).toBe(openShards(whole.train.folder).fingerprint);
  expect(fingerprints[2]).toBe(fingerprints[3]);
});

test("a part stopped between shards goes on, beside others; merged again after that, nothing changes", async () => {
  const options = optionsOf({ part: { number: 2, of: 3 } });
  const stop = new AbortController();
  const path = join(options.out, "part-0002-of-0003", "prepare.json");
  const onProgress = () => {
    if (JSON.parse(readFileSync(path, "utf8")).shards.train.length > 0) stop.abort(new Error("enough"));
  };
  const stopped = prepareData({
    ...options,
    onProgress: ({ phase }) => phase === "tokenizing" && onProgress(),
    signal: stop.signal,
  });
  await expect(stopped).rejects.toThrow("enough");
  for (const number of [1, 3]) await prepareData({ ...options, part: { number, of: 3 } });
  expect(() => mergeParts(options.out)).toThrow("expected 3 finished parts, got 2 (not finished: 2/3)\n");
  expect((await prepareData(options)).status).toBe("resumed");
  expect((await prepareData(options)).status).toBe("unchanged");
  const first = mergeParts(options.out);
  const batches = batchesOf(join(options.out, "train"));
  expect(batches).toEqual(batchesOf((await prepareData(optionsOf())).train.folder));
  expect(mergeParts(options.out)).toEqual(first);
});

test("two processes prepare two parts at once, and neither can prepare the other's", async () => {
  const { out } = optionsOf();
  const prepareUrl = compiledFile("data/prepare/prepare").href;
  const start = (part: Part) => {
    const options = JSON.stringify({ ...optionsOf({ part }), out });
    // Waits in its first progress of tokenizing, with its lock held, for a line.
    const script = `import { prepareData } from ${JSON.stringify(prepareUrl)};
      import { readSync } from "node:fs";
      let waits = true;
      const onProgress = ({ phase }) => {
        if (phase !== "tokenizing" || !waits) return;
        waits = false;
        console.log("here");
        readSync(0, new Uint8Array(1));
      };
      await prepareData({ ...${options}, onProgress });`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    return { child, here: once(child.stdout, "data"), ended: once(child, "exit") };
  };
  const children = [1, 2].map((number) => start({ number, of: 2 }));
  for (const { here } of children) await here;
  for (const [index, { child }] of children.entries()) {
    const options = optionsOf({ out, part: { number: index + 1, of: 2 } });
    await expect(prepareData(options)).rejects.toThrow(
      `part-000${index + 1}-of-0002: expected a folder that no one else is writing, got one that process ${child.pid} `,
    );
  }
  for (const { child } of children) child.stdin.write("x");
  for (const { ended } of children) expect((await ended)[0]).toBe(0);
  mergeParts(out);
  expect(batchesOf(join(out, "train"))).toEqual(batchesOf((await prepareData(optionsOf())).train.folder));
}, 60_000);

test("a merge names the parts that are missing, and what the parts do not have in common", async () => {
  const options = optionsOf({ validation: undefined });
  expect(() => mergeParts(options.out)).toThrow(/expected folders of parts, such as part-0001-of-0004, got none\n/);
  for (const number of [1, 4]) await prepareData({ ...options, part: { number, of: 4 } });
  expect(() => mergeParts(options.out)).toThrow(
    `${options.out}: expected 4 finished parts, got 2 (missing: 2/4, 3/4)\nPrepare them with the command of the others and --part 2/4;`,
  );
  for (const folder of [options.out, join(options.out, "train")]) {
    expect(() => openShards(folder)).toThrow(`Its parts are not merged: neobert data merge ${options.out}`);
  }
  await prepareData({ ...options, part: { number: 2, of: 4 } });
  await prepareData({ ...options, part: { number: 3, of: 4 }, minTokens: 2 });
  expect(() => mergeParts(options.out)).toThrow("\n  minTokens: 1 in part 1/4, 2 in part 3/4\n");
  await prepareData({ ...options, part: { number: 3, of: 4 }, force: true });
  expect(mergeParts(options.out).parts).toBe(4);

  writeFileSync(join(sources, "7.jsonl"), '{"text":"the river"}\n');
  try {
    await prepareData({ ...options, part: { number: 4, of: 4 }, force: true });
    expect(() => mergeParts(options.out)).toThrow(
      /sizes of all parts' files: "[0-9a-f]{64}" in part 1\/4, "[0-9a-f]{64}" in part 4\/4/,
    );
  } finally {
    rmSync(join(sources, "7.jsonl"));
  }
  await prepareData({ ...options, part: { number: 1, of: 2 } });
  expect(() => mergeParts(options.out)).toThrow(
    "expected parts of one division, got some of 2 and some of 4\nRemove those",
  );
});

test("parts without a held-out document merge all the same; splits without any, and other preparations, are refused", async () => {
  const out = await prepareParts([1, 2, 3, 4, 5, 6, 7], 7);
  expect(openShards(join(out, "part-0003-of-0007", "validation")).documents).toBe(0); // of one document
  expect(mergeParts(out).splits[1]!.documents).toBeGreaterThan(10);

  const empty = optionsOf({ part: { number: 1, of: 1 }, minTokens: 1000 });
  expect((await prepareData(empty)).train.documents).toBe(0);
  expect((await prepareData(empty)).status).toBe("unchanged");
  expect(() => mergeParts(empty.out)).toThrow("expected documents for train in some of the 1 parts, got none\n");

  const whole = optionsOf();
  await prepareData(whole);
  await prepareData({ ...whole, part: { number: 1, of: 1 } });
  const before = readFileSync(join(whole.out, "train", "manifest.json"), "utf8");
  expect(() => mergeParts(whole.out)).toThrow("got a preparation that is not in parts");
  expect(readFileSync(join(whole.out, "train", "manifest.json"), "utf8")).toBe(before);
  await expect(prepareData({ ...whole, part: { number: 1, of: 8 } })).rejects.toThrow("got 7 files for 8 parts\n");
});

test("parts cover the files in their order, none is empty, and none is larger than its share by more than a file", () => {
  const sizes = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(sizes, fc.nat(), (bytes, some) => {
      const of = 1 + (some % bytes.length);
      const ranges = Array.from({ length: of }, (_, index) => rangeOfPart(bytes, { number: index + 1, of }));
      expect(ranges[0]![0]).toBe(0);
      expect(ranges.at(-1)![1]).toBe(bytes.length);
      const total = bytes.reduce((sum, size) => sum + size, 0);
      for (const [index, [first, end]] of ranges.entries()) {
        expect(end).toBeGreaterThan(first);
        expect(first).toBe(index === 0 ? 0 : ranges[index - 1]![1]);
        const own = bytes.slice(first, end);
        const held = own.reduce((sum, size) => sum + size, 0);
        expect(held).toBeLessThanOrEqual(total / of + Math.max(...bytes));
      }
    }),
  );
});
