// The command line killed (SIGKILL) at 20 random moments and resumed each time, against the run that nobody disturbed;
// and Ctrl-C, which writes a checkpoint first. Oracle: the unbroken run's bytes.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latestCheckpoint } from "../files/run-folder.js";
import { smallRun, writePreparedFolder } from "./fixture-train.js";
import { readState } from "./loop/checkpoint.js";
import { stateSchema } from "./output/run-record.js";
import { formatRunConfig } from "./run-file/run-file.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));
const kills = 20;

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

function writeRun(name: string): { file: string; out: string } {
  const config = smallRun(
    root,
    name,
    "model={ hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24, dropout: 0.1 }",
    "tokensPerStep=256",
    "microBatchTokens=128",
    "steps=1500",
    "checkpoint.everySteps=10",
    "evaluate.everySteps=100",
    "log.everySteps=7",
  );
  const file = join(root, `${name}.yaml`);
  writeFileSync(file, formatRunConfig(config));
  return { file, out: config.out };
}

/** Runs to its end, or until `signal` is sent, once `due` holds; resolves with what ended it. */
function pretrain(file: string, stop?: { signal: NodeJS.Signals; due: () => boolean }) {
  const child = spawn(process.execPath, [program, "pretrain", file, "--resume"], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += chunk;
    });
  }
  const timer = setInterval(() => {
    if (!stop?.due()) return;
    child.kill(stop.signal);
    clearInterval(timer);
  }, 10);
  return new Promise<{ code: number | null; output: string }>((resolve) => {
    child.on("exit", (code) => {
      clearInterval(timer);
      resolve({ code, output });
    });
  });
}

/** True from a random moment on, 0.3 to 1.8 seconds from now. */
function randomMoment(): () => boolean {
  const at = performance.now() + 300 + Math.random() * 1500;
  return () => performance.now() >= at;
}

const fileOf = (out: string, name: string) => readFileSync(join(latestCheckpoint(out)!, name));

test(`a run killed at ${kills} random moments and resumed ends with the bytes of the unbroken run`, {
  timeout: 600_000,
}, async () => {
  const whole = writeRun("whole");
  expect((await pretrain(whole.file)).code).toBe(0);
  const broken = writeRun("broken");
  const expectSameBytes = () => {
    for (const name of ["model.safetensors", "training/optimizer.safetensors"]) {
      expect(fileOf(broken.out, name).equals(fileOf(whole.out, name)), name).toBe(true);
    }
  };
  for (let killed = 0; killed < kills; ) {
    const { code, output } = await pretrain(broken.file, { signal: "SIGKILL", due: randomMoment() });
    if (code === null) {
      killed++;
      continue;
    }
    // A fast machine gets to the end between two kills: the rest of them strike another run.
    expect(code, output).toBe(0);
    expectSameBytes();
    rmSync(broken.out, { recursive: true });
  }
  const rest = await pretrain(broken.file);
  expect(rest.code, rest.output).toBe(0);
  expectSameBytes();
});

test("Ctrl-C writes a checkpoint of the last whole step, and the run goes on from there", {
  timeout: 120_000,
}, async () => {
  const { file, out } = writeRun("interrupted");
  const { code, output } = await pretrain(file, { signal: "SIGINT", due: () => latestCheckpoint(out) !== undefined });
  expect(code, output).toBe(0);
  expect(output).toMatch(/stopped after \d+ steps.*go on with --resume/s);
  const { step } = readState(latestCheckpoint(out)!, stateSchema);
  expect(output).toContain(`stopped after ${step} steps`);
  expect(existsSync(join(out, "model"))).toBe(false);
  const rest = await pretrain(file);
  expect(rest.output).toContain(`resumed after step ${step}`);
  expect(rest.output).toContain("finished 1500 steps");
});
