// Commands that a signal ends, run as a user runs them, against a Hub that takes a request and never answers: the first
// Ctrl-C or SIGTERM is enough, and the status says that the work is not done. Training is in train/kill.test.ts.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
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
let server: Server;
let asked: () => void;
let endpoint: string;
beforeAll(async () => {
  model = await writeSmallModel();
  writeFileSync(join(root, "labels.jsonl"), '{"text":"a","label":"x"}\n{"text":"b","label":"y"}\n');
  writeFileSync(join(root, "run.yaml"), `out: ${root}/run\nmodel: { from: acme/slow }\ndata: ${root}/data\nsteps: 1\n`);
  server = createServer(() => asked());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  for (const folder of [root, model]) rmSync(folder, { recursive: true });
});

function start(args: string[]): { child: ChildProcess; ended: Promise<{ code: number | null; output: string }> } {
  const env = { ...process.env, HF_ENDPOINT: endpoint, HF_HUB_CACHE: join(root, "hub"), HF_HUB_OFFLINE: "" };
  const child = spawn(process.execPath, [program, ...args], { env, cwd: root });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return { child, ended: new Promise((resolve) => child.on("exit", (code) => resolve({ code, output }))) };
}

const commands = [
  "embed acme/slow labels.jsonl",
  "evaluate mteb acme/slow --tasks STSBenchmark",
  "evaluate pppl acme/slow labels.jsonl",
  "finetune classify acme/slow labels.jsonl --out classifier",
  "finetune glue acme/slow --out glue",
  "pretrain run.yaml",
];

test.each(commands)("the first Ctrl-C ends `%s` in a download, with status 130", { timeout: 30_000 }, async (line) => {
  const isAsked = new Promise<void>((resolve) => (asked = resolve));
  const { child, ended } = start(line.split(" "));
  await Promise.race([isAsked, ended]);
  child.kill("SIGINT");
  const { code, output } = await ended;
  expect(code, output).toBe(130);
  expect(output).toContain("stopped");
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
