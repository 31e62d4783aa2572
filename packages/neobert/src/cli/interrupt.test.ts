// Commands that a signal ends, run as a user runs them, against a Hub that takes a request and never answers: the first
// Ctrl-C or SIGTERM is enough, and the status says that the work is not done. Training is in train/kill.test.ts.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeSmallModel } from "../encoder/fixture-encoder.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "neobert-interrupt-"));
let model: string;
let masked: string;
let server: Server;
let asked: () => void;
let endpoint: string;
beforeAll(async () => {
  model = await writeSmallModel();
  writeFileSync(join(root, "labels.jsonl"), '{"text":"a","label":"x"}\n{"text":"b","label":"y"}\n');
  writeFileSync(join(root, "run.yaml"), `out: ${root}/run\nmodel: { from: acme/slow }\ndata: ${root}/data\nsteps: 1\n`);
  masked = await writeSmallModel({ head: "maskedLM" });
  writeFileSync(join(root, "pairs.jsonl"), '{"q":"law","p":"peace"}\n{"q":"war","p":"house"}\n');
  const local = `{ name: local, path: ${root}/pairs.jsonl }`;
  const slow = `{ name: slow, path: ${data} }`;
  const recipes = {
    pairs: `train: [${slow}]`,
    "held-out": `train: [${local}], validation: [${slow}]`,
    "second-set": `train: [${local}, ${slow}]`,
  };
  for (const [name, sets] of Object.entries(recipes)) {
    const yaml = `out: ${root}/${name}\nmodel: { from: ${model} }\ndata: { ${sets} }\nmaxLength: 32\nthreads: 1\n`;
    writeFileSync(join(root, `hub-${name}.yaml`), yaml);
  }
  server = createServer(() => asked());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  for (const folder of [root, model, masked]) rmSync(folder, { recursive: true });
});

function start(
  args: string[],
  hub = endpoint,
): { child: ChildProcess; ended: Promise<{ code: number | null; output: string }> } {
  const env = { ...process.env, HF_ENDPOINT: hub, HF_HUB_CACHE: join(root, "hub"), HF_HUB_OFFLINE: "" };
  const child = spawn(process.execPath, [program, ...args], { env, cwd: root });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return { child, ended: new Promise((resolve) => child.on("exit", (code) => resolve({ code, output }))) };
}

const data = "hf://datasets/acme/slow";
const commands = [
  "embed acme/slow labels.jsonl",
  "evaluate mteb acme/slow --tasks STSBenchmark",
  "evaluate pppl acme/slow labels.jsonl",
  "finetune classify acme/slow labels.jsonl --out classifier",
  "finetune glue acme/slow --out glue",
  "pretrain run.yaml",
  `finetune classify MODEL ${data} --out data-classifier`,
  `finetune classify MODEL labels.jsonl --validation ${data} --out validation-classifier`,
  "finetune glue MODEL --tasks cola --out data-glue",
  "finetune contrastive hub-pairs.yaml",
  "finetune contrastive hub-held-out.yaml",
  "finetune contrastive hub-second-set.yaml",
  `evaluate pppl MASKED ${data}`,
];

test.each(commands)("the first Ctrl-C ends `%s` in a download, with status 130", { timeout: 30_000 }, async (line) => {
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const { child, ended } = start(line.replace("MODEL", model).replace("MASKED", masked).split(" "));
  await Promise.race([isAsked, ended]);
  child.kill("SIGINT");
  const { code, output } = await ended;
  expect(code, output).toBe(130);
  expect(output).toContain("stopped");
});

test("a download that Ctrl-C ends in a training run is gone on with by the next run", { timeout: 60_000 }, async () => {
  const pad = "-".repeat(50_000);
  const rows = Array.from(
    { length: 40 },
    (_, i) => `${JSON.stringify({ text: `law ${i}`, label: i % 2, pad })}\n`,
  ).join("");
  // The Hub sends half of the file, then nothing; then it serves on.
  const ranges: (string | undefined)[] = [];
  const hub = createServer(({ url, headers }, response) => {
    const answer = (json: unknown) => void response.end(JSON.stringify(json));
    if (url!.includes("/revision/")) return answer({ sha: "1".repeat(40), id: "acme/half" });
    const oid = createHash("sha1").update(`blob ${rows.length}\0${rows}`).digest("hex");
    if (url!.includes("/tree/")) {
      return answer([{ type: "file", path: "rows.jsonl", size: rows.length, oid }]);
    }
    const isHead = headers.range === "bytes=0-0";
    if (!isHead) ranges.push(headers.range);
    const from = Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0);
    const end = isHead ? 1 : rows.length;
    response.writeHead(headers.range ? 206 : 200, {
      etag: `"${oid}"`,
      "content-length": end - from,
      ...(headers.range && { "content-range": `bytes ${from}-${end - 1}/${rows.length}` }),
    });
    response.write(isHead || from > 0 ? rows.slice(from, end) : rows.slice(0, rows.length / 2));
    if (isHead || from > 0) response.end();
    else setTimeout(() => asked(), 300);
  });
  await new Promise<void>((resolve) => hub.listen(0, "127.0.0.1", resolve));
  const at = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  const args = ["finetune", "classify", model, "hf://datasets/acme/half", "--out", "half", "--resume", "epochs=1"];
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const first = start(args, at);
  await Promise.race([isAsked, first.ended]);
  first.child.kill("SIGTERM");
  const { code, output } = await first.ended;
  expect(code, output).toBe(143);
  expect(output).toContain("stopped before the first step: nothing was written");
  expect(existsSync(join(root, "half"))).toBe(false);
  const second = await start(args, at).ended;
  expect(second.code, second.output).toBe(0);
  expect(second.output).toContain("36 texts to learn from, 4 held out");
  hub.closeAllConnections();
  hub.close();
});

test("SIGTERM ends `data prepare` in a download with status 143", { timeout: 30_000 }, async () => {
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const { child, ended } = start(["data", "prepare", "hf://datasets/acme/slow", "--tokenizer", model, "--out", "data"]);
  await Promise.race([isAsked, ended]);
  child.kill("SIGTERM");
  const { code, output } = await ended;
  expect(code, output).toBe(143);
});

test("Ctrl-C ends `embed` while it waits for texts, and leaves no file", { timeout: 30_000 }, async () => {
  const { child, ended } = start(["embed", model, "-", "--out", "vectors.npy"]);
  child.stdin!.write("a\n".repeat(40_000));
  child.stderr!.once("data", () => child.kill("SIGINT"));
  const { code, output } = await ended;
  expect(code, output).toBe(130);
  expect(output).toContain("vectors.npy was not written");
  expect(readdirSync(root).filter((name) => name.includes("vectors"))).toEqual([]);
});
