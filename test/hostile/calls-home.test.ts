// Nothing calls home: the commands run without a route to anywhere, and every socket that they or their workers open is
// written down by strace. Skipped where a network namespace or strace is not to be had.

import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { writeSmallModel } from "../../packages/neobert/src/encoder/fixture-encoder.js";
import { writePreparedFolder } from "../../packages/neobert/src/train/fixture-train.js";

const isPermitted = spawnSync("unshare", ["-rn", "strace", "-f", "-o", "/dev/null", "true"]).status === 0;
const program = fileURLToPath(new URL("../../packages/neobert/bin/neobert.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "calls-home-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Calls with an internet address or socket that a command of Node makes, in it and in all its threads and children. */
async function calls(args: string[]): Promise<string[]> {
  const log = join(root, "calls");
  const traced = ["-rn", "strace", "-f", "-qq", "-e", "trace=%network", "-o", log, process.execPath, ...args];
  // As a user has it: without the variable that the tests' own processes have.
  const { ORT_DISABLE_TELEMETRY: _, HF_ENDPOINT: __, ...environment } = process.env;
  const env = {
    ...environment,
    HOME: join(root, "home"),
    NEOBERT_CACHE: join(root, "cache"),
    HF_HOME: join(root, "hf"),
  };
  await promisify(execFile)("unshare", traced, { env, cwd: root });
  return readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => /AF_INET6?\b/.test(line));
}
const neobert = (...args: string[]) => calls([program, ...args]);

describe.skipIf(!isPermitted)("no command looks up or reaches anything", { timeout: 240_000 }, () => {
  test("what does look something up is seen", async () => {
    expect(await calls(["-e", "fetch('http://example.com').catch(() => {})"])).not.toEqual([]);
  });

  test("encoding with both engines", async () => {
    const model = await writeSmallModel();
    const texts = join(root, "texts.txt");
    writeFileSync(texts, "the house\nof a united people\n");
    for (const engine of ["onnx", "torch"]) {
      const out = join(root, `${engine}.npy`);
      expect(await neobert("embed", model, texts, "--engine", engine, "--out", out)).toEqual([]);
      expect(readFileSync(out).length).toBeGreaterThan(128);
    }
  });

  test("preparing data, with its workers, and training on them", async () => {
    const prepared = await writePreparedFolder();
    const data = join(root, "data");
    const tokenizer = join(prepared, "tokenizer");
    const text = join(prepared, "text");
    const options = [
      "--split",
      "line",
      "--tokenizer",
      tokenizer,
      "--out",
      data,
      "--workers",
      "2",
      "--validation-fraction",
      "0.1",
    ];
    expect(await neobert("data", "prepare", text, ...options)).toEqual([]);
    const run = join(root, "run.yaml");
    writeFileSync(
      run,
      `out: ${join(root, "run")}
model: { hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48 }
data: ${data}
maxLength: 24
steps: 4
tokensPerStep: 512
microBatchTokens: 512
threads: 1
`,
    );
    expect(await neobert("pretrain", run)).toEqual([]);
    expect(readFileSync(join(root, "run/latest"), "utf8")).toContain("step-00000004");
  });

  test("evaluating a task on local data", async () => {
    const model = await writeSmallModel();
    writeFileSync(join(root, "pairs.jsonl"), '{"a":"the house","b":"a people","s":1}\n{"a":"war","b":"peace","s":3}\n');
    const mapping = join(root, "mteb.yaml");
    writeFileSync(
      mapping,
      "Own: { type: STS, scoreRange: [0, 5], test: { files: pairs.jsonl, columns: { sentence1: a, sentence2: b, score: s } } }\n",
    );
    const out = join(root, "mteb");
    expect(await neobert("evaluate", "mteb", model, "--data", mapping, "--out", out)).toEqual([]);
  });
});
