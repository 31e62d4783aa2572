// Oracles: the unbroken run for resumed ones, bit for bit; files on disk; the batches' own provenance.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fusedKernels, liveTensors } from "@neobert/torch";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createBatches } from "../../data/index.js";
import { latestCheckpoint, listCheckpoints, modelFolder } from "../../files/run-folder.js";
import { openSafetensors } from "../../files/safetensors.js";
import { TorchModel } from "../../model/torch/torch-model.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { smallRun, writePreparedFolder } from "../fixture-train.js";
import { heldOutScores } from "../pretrain/masked-scores.js";
import { runPretraining } from "../pretrain/pretrain-task.js";
import { measureStep } from "../pretrain/step-time.js";
import { formatRunConfig } from "../run-file/run-file.js";
import type { LoopOptions } from "./loop.js";

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));
afterEach(() => expect(liveTensors()).toBe(0));

const bytes = (...path: string[]) => readFileSync(join(...path));

/** The files of a checkpoint whose bytes a resume must reproduce. */
function expectSameCheckpoint(a: string, b: string): void {
  for (const file of ["model.safetensors", "training/optimizer.safetensors", "config.json", "tokenizer.json"]) {
    expect(bytes(a, file).equals(bytes(b, file)), file).toBe(true);
  }
}

/** metrics.jsonl without what a clock says. */
const metricsOf = (run: string) =>
  readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const { tokensPerSecond: _, seconds: __, ...record } = JSON.parse(line);
      return record;
    });

const stopAfter = (steps: number): LoopOptions => {
  let taken = 0;
  return { onStep: () => taken++, shouldStop: () => taken >= steps };
};

test("packing crossAttention trains on the same tokens and masks, seen in other company", async () => {
  const one = ["steps=1", "log.everySteps=1", "model.dropout=0"];
  const isolated = await runPretraining(smallRun(root, "isolated", ...one));
  const crossing = await runPretraining(smallRun(root, "crossing", ...one, "packing=crossAttention"));
  expect(crossing.tokensSeen).toBe(isolated.tokensSeen);
  const [a, b] = ["isolated", "crossing"].map((name) => metricsOf(join(root, name))[0]);
  expect(Math.abs(a.loss - b.loss)).toBeGreaterThan(1e-5);
  expect(Math.abs(a.loss - b.loss)).toBeLessThan(0.1);
});

test("checkpoints that are written by another thread are those of their steps, and one that cannot be written ends the run", async () => {
  const model = "model={ hidden_size: 256, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 1024 }";
  const large = [model, "steps=5", "checkpoint={ everySteps: 2, keep: 3 }", "evaluate.everySteps=100"];
  const whole = smallRun(root, "large", ...large);
  const notes: string[] = [];
  const unbroken = await runPretraining(whole, { onNote: (text) => notes.push(text) });
  expect(notes.filter((note) => note.includes("saved"))).toHaveLength(3);
  for (const step of [2, 4]) {
    const name = `step-0000000${step}`;
    const config = smallRun(root, `large-${step}`, ...large);
    await runPretraining(config, stopAfter(step));
    expectSameCheckpoint(join(config.out, "checkpoints", name), join(whole.out, "checkpoints", name));
    const { checkpoint } = await runPretraining(config, { resume: true });
    expectSameCheckpoint(checkpoint!, unbroken.checkpoint!);
  }
  const failing = smallRun(root, "large-failing", ...large);
  const onStep = ({ step }: { step: number }) => {
    // A folder in the place of the file that names the latest checkpoint: it cannot be replaced.
    if (step === 1) mkdirSync(join(failing.out, "latest", "in-the-way"), { recursive: true });
  };
  await expect(runPretraining(failing, { onStep })).rejects.toThrow(/latest/);
});

test("a run stopped at any step and resumed ends with the weights, optimizer and metrics of an unbroken run, bit for bit", async () => {
  const whole = smallRun(root, "whole");
  const unbroken = await runPretraining(whole);
  for (const stop of [1, 4, 7, 11]) {
    const config = smallRun(root, `stopped-${stop}`);
    const first = await runPretraining(config, stopAfter(stop));
    expect(first).toMatchObject({ step: stop, finished: false });
    const second = await runPretraining(config, { resume: true });
    expect(second).toMatchObject({ step: 12, finished: true, tokensSeen: unbroken.tokensSeen });
    expect(second.validation).toEqual(unbroken.validation);
    expectSameCheckpoint(second.checkpoint!, unbroken.checkpoint!);
    expect(metricsOf(config.out)).toEqual(metricsOf(whole.out));
  }
});

test("the run passes the end of the data, so the resumes above cross an epoch", async () => {
  const { tokens } = JSON.parse(readFileSync(join(root, "data/train/manifest.json"), "utf8"));
  expect(12 * 1000).toBeGreaterThan(tokens);
});

test("a run on a byte-level BPE vocabulary (ablation M3) masks no special token, learns, and saves that tokenizer", async () => {
  const folder = await writePreparedFolder("bpe");
  const config = smallRun(folder, "run", "schedule.warmupSteps=1");
  const { validation, model } = await runPretraining(config);
  const tokenizer = loadTokenizer(model!);
  expect(tokenizer.hash).toBe(loadTokenizer(join(folder, "tokenizer")).hash);
  expect(tokenizer.specialIds).toEqual({ cls: 0, pad: 1, sep: 2, unk: 3, mask: 4 });
  const { vocab_size: V, pad_token_id: pad } = JSON.parse(readFileSync(join(model!, "config.json"), "utf8"));
  expect([V, pad]).toEqual([tokenizer.vocabSize, 1]);
  expect(validation!.loss).toBeLessThan(Math.log(V));

  const sources = [{ path: join(folder, "data/train"), weight: 1 }];
  const batches = createBatches({ sources, maxLength: 24, tokensPerStep: 512, microBatchTokens: 256, seed: 1 });
  for (const { ids, cuSeqlens, maskedRows, labels } of batches.nextStep().microBatches) {
    for (const start of cuSeqlens.subarray(0, -1)) expect(ids[start]).toBe(0);
    for (const end of cuSeqlens.subarray(1)) expect(ids[end - 1]).toBe(2);
    expect(maskedRows.length).toBeGreaterThan(0);
    for (const row of maskedRows) expect(ids[row]).toBe(4);
    for (const label of labels) expect(label).toBeGreaterThan(4);
  }
  batches.close();
  rmSync(folder, { recursive: true });
});

test.each(["fp32", "bf16"])(
  "with SOAP a run stopped before and after new bases and resumed equals the unbroken one, in %s",
  async (dtype) => {
    const soap = [`dtype=${dtype}`, "steps=8", "optimizer={ name: soap, lr: 3e-3, preconditionFrequency: 3, maxPrecondDim: 64 }"]; // biome-ignore format: one thing
    const unbroken = await runPretraining(smallRun(root, `soap-whole-${dtype}`, ...soap));
    for (const stop of [1, 3, 6]) {
      const config = smallRun(root, `soap-stopped-${stop}-${dtype}`, ...soap);
      await runPretraining(config, stopAfter(stop));
      const resumed = await runPretraining(config, { resume: true });
      expectSameCheckpoint(resumed.checkpoint!, unbroken.checkpoint!);
    }
    const file = openSafetensors(join(unbroken.checkpoint!, "training/optimizer.safetensors"));
    const parts = (name: string) =>
      file.names().flatMap((key) => (key.endsWith(`.${name}`) ? [key.split(".")[0]!] : []));
    expect(parts("model.encoder.weight").sort()).toEqual(["expAvg", "expAvgSq", "gg1", "q1", "step"]); // 80 x 32
    expect(parts("model.layer_norm.weight").sort()).toEqual(["expAvg", "expAvgSq", "step"]);
    file.close();
  },
);

test("in bf16 a resumed run equals the unbroken one too", async () => {
  const unbroken = await runPretraining(smallRun(root, "bf16-whole", "dtype=bf16", "steps=6"));
  const config = smallRun(root, "bf16-stopped", "dtype=bf16", "steps=6");
  await runPretraining(config, stopAfter(3));
  const resumed = await runPretraining(config, { resume: true });
  expectSameCheckpoint(resumed.checkpoint!, unbroken.checkpoint!);
  const file = openSafetensors(join(resumed.model!, "model.safetensors"));
  expect(file.info("decoder.weight").dtype).toBe("F32");
  file.close();
});

test("nGPT's own weights have unit norm after each step, those of the paper's code do not, and both resume bit for bit", async () => {
  for (const [form, isUnit] of [
    ["ngpt", true],
    ["ngpt-neobert", false],
  ] as const) {
    const run = (name: string) => smallRun(root, `${form}-${name}`, "dtype=bf16", "steps=6", `model.ngpt=${form}`);
    const unbroken = await runPretraining(run("whole"));
    await runPretraining(run("stopped"), stopAfter(3));
    const resumed = await runPretraining(run("stopped"), { resume: true });
    expectSameCheckpoint(resumed.checkpoint!, unbroken.checkpoint!);
    const file = openSafetensors(join(resumed.model!, "model.safetensors"));
    const { data } = file.read("model.transformer_encoder.1.qkv.weight");
    file.close();
    const row = (data as Float32Array).subarray(0, 32);
    expect(Math.abs(Math.hypot(...row) - 1) < 1e-5).toBe(isUnit);
  }
});

test("a resumed run keeps the compute type and the threads it began with", async () => {
  const config = smallRun(root, "kept", "dtype=bf16", "steps=4");
  await runPretraining(config, stopAfter(2));
  const other = smallRun(root, "kept", "dtype=fp32", "threads=2", "steps=4");
  const { record } = await runPretraining(other, { resume: true });
  expect(record).toMatchObject({ dtype: "bf16", threads: 1 });
});

test("recomputing activations gives the same weights but for rounding", async () => {
  const weightOf = async (name: string, ...overrides: string[]) => {
    const { model } = await runPretraining(smallRun(root, name, "steps=3", ...overrides));
    const file = openSafetensors(join(model!, "model.safetensors"));
    const { data } = file.read("model.transformer_encoder.0.qkv.weight");
    file.close();
    return data as Float32Array;
  };
  const [kept, recomputed] = [await weightOf("kept-all"), await weightOf("recomputed", "activationCheckpointing=true")];
  const worst = kept.reduce((worst, value, i) => Math.max(worst, Math.abs(value - recomputed[i]!)), 0);
  expect(worst).toBeLessThan(1e-3); // a step of Adam at this rate moves a weight by up to 1e-2
});

test("training lowers the held-out loss below the unigram's", async () => {
  const config = smallRun(root, "learns", "steps=150", "checkpoint.everySteps=150");
  const { validation } = await runPretraining(config);
  const scores = heldOutScores({
    model: config.out,
    train: join(root, "data/train"),
    validation: join(root, "data/validation"),
    maxLength: 24,
    targets: 200,
  });
  expect(scores.model.targets).toBe(200);
  expect(scores.model.loss).toBeLessThan(scores.unigram.loss - 0.3);
  expect(validation!.loss).toBeLessThan(scores.unigram.loss - 0.3);
});

test("only the newest checkpoints are kept, `latest` names the newest, and model/ is a folder that loads", async () => {
  const config = smallRun(root, "keeps");
  const result = await runPretraining(config);
  expect(listCheckpoints(config.out).map((path) => path.slice(-8))).toEqual(["00000008", "00000012"]);
  expect(readFileSync(join(config.out, "latest"), "utf8")).toBe("step-00000012\n");
  expect(modelFolder(config.out)).toBe(result.model);
  expect(readdirSync(result.model!).sort()).toEqual([
    "README.md",
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
  ]);
  const model = TorchModel.load(result.model!);
  expect(model.head).toBe("maskedLM");
  model.dispose();
});

test("continuing from a run starts with its weights and records the new length", async () => {
  const { model } = await runPretraining(smallRun(root, "phase-1", "steps=3"));
  const config = smallRun(
    root,
    "phase-2",
    `model={ from: ${join(root, "phase-1")} }`,
    "steps=1",
    "maxLength=48",
    "optimizer.lr=1e-12",
  );
  const second = await runPretraining(config);
  const [before, after] = [model!, second.model!].map((folder) => openSafetensors(join(folder, "model.safetensors")));
  const [a, b] = [before!, after!].map((file) => file.read("decoder.weight").data as Float32Array);
  expect(Math.max(...a!.map((value, i) => Math.abs(value - b![i]!)))).toBeLessThan(1e-7);
  expect(JSON.parse(readFileSync(join(second.model!, "config.json"), "utf8")).max_length).toBe(48);
  before!.close();
  after!.close();
});

test("a folder that holds a run is not overwritten without --resume", async () => {
  await runPretraining(smallRun(root, "taken", "steps=1"));
  await expect(runPretraining(smallRun(root, "taken", "steps=1"))).rejects.toThrow(
    /expected a folder without a run.*\n.*`resume`/,
  );
});

test("resuming with other settings is refused, and each difference is named", async () => {
  await runPretraining(smallRun(root, "settings", "steps=2"));
  const other = smallRun(root, "settings", "steps=4", "optimizer.lr=1e-3", "seed=5", "log.everySteps=1");
  await expect(runPretraining(other, { resume: true })).rejects.toThrow(
    /seed: was 0, is 5\n {2}optimizer\.lr: was 0\.01, is 0\.001\n {2}schedule.decaySteps: was 2, is 4\n.*run\.yaml/,
  );
});

test("data of another tokenizer are refused", async () => {
  const tokenizer = join(root, "other-tokenizer");
  const { trainWordPiece, saveTokenizer } = await import("../../tokenizer/index.js");
  saveTokenizer(await trainWordPiece(["other words altogether"], { vocabSize: 40, minFrequency: 1 }), tokenizer);
  await expect(runPretraining(smallRun(root, "mismatch", `tokenizer=${tokenizer}`))).rejects.toThrow(
    /run's tokenizer .* got another's/,
  );
});

test("a loss that is not finite stops the run, naming step, pieces and the last good checkpoint, which stays whole", async () => {
  const config = smallRun(
    root,
    "diverges",
    "optimizer.lr=1e30",
    "schedule.warmupSteps=0",
    "steps=40",
    "checkpoint.everySteps=1",
  );
  let message = "";
  await runPretraining(config).catch((error: Error) => {
    message = error.message;
  });
  expect(message).toMatch(/^pretrain: step \d+: expected a finite (loss|gradient norm), got (NaN|-?Infinity) from\n/);
  expect(message).toMatch(/data\/train document \d+ from token \d+/);
  const [, last] = /last good checkpoint is (\S+)\. Resume/.exec(message)!;
  expect(existsSync(join(last!, "model.safetensors"))).toBe(true);
});

test("half-written checkpoints of a killed run are cleared away and never resumed from", async () => {
  const config = smallRun(root, "half", "steps=8");
  await runPretraining(config, stopAfter(5));
  const torn = join(config.out, "checkpoints/step-00000006.tmp");
  mkdirSync(torn);
  writeFileSync(join(torn, "model.safetensors"), "torn");
  const result = await runPretraining(config, { resume: true });
  expect(result.finished).toBe(true);
  expect(existsSync(torn)).toBe(false);
});

test("with keep 1 a run killed before `latest` was replaced, resumed and stopped keeps the checkpoint that `latest` names", async () => {
  const config = smallRun(root, "keep-one", "checkpoint.keep=1");
  await runPretraining(config, stopAfter(4));
  const latest = bytes(config.out, "latest");
  const copy = join(root, "keep-one-copy");
  cpSync(join(config.out, "checkpoints/step-00000004"), copy, { recursive: true });
  await runPretraining(config, { resume: true, ...stopAfter(4) });
  // As the kill leaves it: the checkpoint of step 8 is whole, `latest` still names that of step 4.
  writeFileSync(join(config.out, "latest"), latest);
  cpSync(copy, join(config.out, "checkpoints/step-00000004"), { recursive: true });
  const stopped = await runPretraining(config, { resume: true, ...stopAfter(2) });
  expect(stopped.checkpoint).toBe(join(config.out, "checkpoints/step-00000006"));
  expect(listCheckpoints(config.out)).toEqual([stopped.checkpoint]);
  expect(latestCheckpoint(config.out)).toBe(stopped.checkpoint);
  expect((await runPretraining(config, { resume: true })).finished).toBe(true);
});

test("a second run on the folder of one that goes on is refused and disturbs nothing", async () => {
  const config = smallRun(root, "shared", "steps=6");
  let second: Promise<unknown> | undefined;
  const first = await runPretraining(config, {
    onStep: () => {
      second ??= runPretraining(config, { resume: true }).catch((error: Error) => error.message);
    },
  });
  expect(await second).toMatch(/^\S+shared: expected a folder that no one else is writing.*\nWait for it, or stop it/);
  const unbroken = await runPretraining(smallRun(root, "not-shared", "steps=6"));
  expectSameCheckpoint(first.checkpoint!, unbroken.checkpoint!);
  expect(existsSync(join(config.out, ".lock"))).toBe(false);
});

test("a resume on other kernels says so", async () => {
  const config = smallRun(root, "other-kernels", "steps=4");
  await runPretraining(config, stopAfter(2));
  const file = join(root, "other-kernels.yaml");
  writeFileSync(file, formatRunConfig(config));
  const program = fileURLToPath(new URL("../../../bin/neobert.js", import.meta.url));
  const addonPath = fileURLToPath(new URL("../../../../torch/native/build/Release/torch.node", import.meta.url));
  // Another build of the same version: bytes after an addon's end change nothing of it.
  const rebuilt = join(root, "rebuilt.node");
  writeFileSync(rebuilt, Buffer.concat([readFileSync(addonPath), Buffer.from("rebuilt")]));
  const resume = (fused: boolean, steps: number, addon = addonPath) =>
    spawnSync(process.execPath, [program, "pretrain", file, "--resume", "schedule.decaySteps=4", `steps=${steps}`], {
      env: { ...process.env, NEOBERT_FUSED: fused ? "1" : "0", NEOBERT_ADDON: addon },
      encoding: "utf8",
    }).stderr;
  const [same, other] = [fusedKernels(), !fusedKernels()];
  expect(resume(same, 3)).not.toContain("not the run's own machine");
  const build = /bit for bit: build: was [0-9a-f]{16}, is [0-9a-f]{16}/;
  expect(resume(same, 3, rebuilt)).toMatch(build);
  expect(resume(other, 4)).toContain(`may not continue bit for bit: fusedKernels: was ${same}, is ${other}`);
});

test("a damaged state.json is an error that names the file, what is wrong and the way out", async () => {
  const config = smallRun(root, "damaged", "steps=4");
  await runPretraining(config, stopAfter(2));
  const file = join(latestCheckpoint(config.out)!, "training/state.json");
  const whole = JSON.parse(readFileSync(file, "utf8"));
  expect(whole).toMatchObject({ format: "neobert-run", version: 1, step: 2 });
  const { record: _, ...withoutRecord } = whole;
  const { format: __, version: ___, ...uncounted } = whole;
  for (const [state, complaint] of [
    [{ ...whole, step: "2" }, "step: .*expected number"],
    [{ ...whole, step: -5 }, "step: "],
    [{ ...whole, step: null }, "step: "],
    [{ ...whole, version: 2 }, "version: "],
    [{ ...whole, cursor: {} }, "cursor.step: .*cursor.draws: "],
    [withoutRecord, "record: "],
    [[], "the whole: "],
  ] as const) {
    writeFileSync(file, JSON.stringify(state));
    const expected = new RegExp(`^${file}: expected the state of a run, got .*${complaint}.*\n.*\`latest\``);
    await expect(runPretraining(config, { resume: true })).rejects.toThrow(expected);
  }
  writeFileSync(file, JSON.stringify(whole).slice(0, 40));
  await expect(runPretraining(config, { resume: true })).rejects.toThrow(/state.json: expected .*JSON/);
  writeFileSync(file, JSON.stringify(uncounted));
  expect((await runPretraining(config, { resume: true })).finished).toBe(true);
});

test("a run that fails at its start frees its tensors and its files", async () => {
  const openFiles = () => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);
  const config = smallRun(root, "fails-at-start", "steps=4", "dtype=bf16");
  await runPretraining(config, stopAfter(2));
  const events = join(config.out, "events");
  renameSync(events, `${events}-aside`);
  writeFileSync(events, "a file in the way");
  const before = openFiles();
  await expect(runPretraining(config, { resume: true })).rejects.toThrow(events);
  expect(liveTensors()).toBe(0);
  rmSync(events);
  writeFileSync(join(latestCheckpoint(config.out)!, "training/optimizer.safetensors"), "damaged");
  await expect(runPretraining(config, { resume: true })).rejects.toThrow("optimizer.safetensors");
  expect(liveTensors()).toBe(0);
  expect(openFiles()).toBe(before);
});

test("the time that a dry run measures is that of the run, and it leaves nothing behind", async () => {
  const left = () => readdirSync(tmpdir()).filter((name) => name.startsWith("neobert-dry-run-"));
  const before = left();
  const config = smallRun(root, "timed", "steps=40", "checkpoint.everySteps=40");
  const { runSeconds, dtype } = await measureStep(config);
  const { trainingSeconds } = await runPretraining(config);
  expect(dtype).toBe("fp32");
  // Wide, for other processes come and go meanwhile; another unit or number of steps is further off.
  expect(runSeconds / trainingSeconds).toBeGreaterThan(1 / 20);
  expect(runSeconds / trainingSeconds).toBeLessThan(20);
  expect(left()).toEqual(before);
});

test("the same run twice gives the same weights, bit for bit, with two threads", async () => {
  const [a, b] = [smallRun(root, "twice-a", "threads=2", "steps=5"), smallRun(root, "twice-b", "threads=2", "steps=5")];
  expectSameCheckpoint((await runPretraining(a)).checkpoint!, (await runPretraining(b)).checkpoint!);
});
