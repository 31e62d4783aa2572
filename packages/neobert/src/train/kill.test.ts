// The command line killed (SIGKILL) at 20 random moments and resumed each time, against the run that nobody disturbed;
// and Ctrl-C and SIGTERM, which write a checkpoint first. Oracle: the unbroken run's bytes.

import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latestCheckpoint } from "../files/run-folder.js";
import { writePreparedFolder, writeSmallRun } from "./fixture-train.js";
import { readState } from "./loop/checkpoint.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));
const kills = 20;

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

function writeRun(name: string): { file: string; out: string } {
  return writeSmallRun(
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
}

/** Runs to its end, or until `signal` is sent, once `due` holds; resolves with what ended it. */
function pretrain(file: string, stop?: { signal: NodeJS.Signals; due: () => boolean }) {
  return neobert(["pretrain", file, "--resume"], stop);
}

function neobert(args: string[], stop?: { signal: NodeJS.Signals; due: () => boolean }) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
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

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 75],
] as const)(
  "%s writes a checkpoint of the last whole step, ends with status %i, and the run goes on from there",
  {
    timeout: 120_000,
  },
  async (signal, status) => {
    const { file, out } = writeRun(`interrupted-${signal}`);
    const { code, output } = await pretrain(file, { signal, due: () => latestCheckpoint(out) !== undefined });
    expect(code, output).toBe(status);
    expect(output).toMatch(/stopped after \d+ steps.*the same command with --resume goes on/s);
    const { step } = readState(latestCheckpoint(out)!);
    expect(output).toContain(`stopped after ${step} steps`);
    expect(existsSync(join(out, "model"))).toBe(false);
    const rest = await pretrain(file);
    expect(rest.output).toContain(`resumed after step ${step}`);
    expect(rest.output).toContain("finished 1500 steps");
    expect(rest.code).toBe(0);
  },
);

test.each([
  [2, "a command line with an unknown option", ["--no-such-option"], "unknown option"],
  [2, "an option of the run file that is none", ["optimizer.lrr=1"], 'Did you mean "lr"'],
  [2, "a run's folder that is in use by an earlier run", ["--fresh"], "expected a folder without a run"],
  [77, "a loss that is not finite", ["optimizer.lr=1e30", "out=NEW"], "expected a finite"],
])("status %i: %s", { timeout: 60_000 }, async (status, of, args, said) => {
  const { file, out } = writeRun("statuses");
  const fresh = args.includes("--fresh");
  if (fresh) {
    const due = () => latestCheckpoint(out) !== undefined;
    expect((await pretrain(file, { signal: "SIGTERM", due })).code).toBe(75);
  }
  const words = fresh ? [] : args.map((word) => word.replace("NEW", join(root, `status-${status}`)));
  const { code, output } = await neobert(["pretrain", file, ...words]);
  expect(output, of).toContain(said);
  expect(code).toBe(status);
});
