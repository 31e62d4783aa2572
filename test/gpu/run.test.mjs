// Whole runs on the GPU: 300 steps whose losses are the CPU's, a run that is stopped and resumed, the memory that `--dry-run`
// estimates; and the engine of encoders.
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { loadTorchEngine } from "#neobert/engine/torch-engine";
import { Golden, goldenRoot } from "#neobert/model/golden";
import { smallRun, writePreparedFolder } from "#neobert/train/fixture-train";
import { runLoop } from "#neobert/train/loop/loop";
import { describeRun } from "#neobert/train/pretrain/dry-run";
import { pretraining } from "#neobert/train/pretrain/pretrain-task";
import { memoryStats } from "#torch/index";
import { assertClose, device, isGpu } from "./close.mjs";

let root;
before(async () => {
  root = await writePreparedFolder();
});
after(() => rmSync(root, { recursive: true }));

const train = (config, options = {}) => runLoop(pretraining(config), options);
const lossesOf = ({ out }) =>
  readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .flatMap(({ step, loss }) => (loss === undefined ? [] : [[step, loss]]));

for (const dtype of ["fp32", "bf16"]) {
  test(`300 steps in ${dtype} have the losses that the CPU has`, async () => {
    const settings = [`dtype=${dtype}`, "model.dropout=0", "steps=300", "log.everySteps=10", "evaluate.everySteps=300"];
    const [there, here] = [device, "cpu"].map((place, i) =>
      smallRun(root, `${dtype}-${i}`, `device=${place}`, ...settings),
    );
    for (const config of [there, here]) await train(config);
    const [got, expected] = [lossesOf(there), lossesOf(here)];
    assert.equal(got.length, 30);
    for (const [i, [step, loss]] of got.entries()) {
      // Rounding grows with the steps; at first the losses are the same.
      const tolerance = dtype === "bf16" ? 0.05 : step <= 50 ? 1e-3 : 0.03;
      assert.ok(Math.abs(loss / expected[i][1] - 1) < tolerance, `step ${step}: ${loss}, on the CPU ${expected[i][1]}`);
    }
  });
}

test("a run that is stopped and resumed ends near the one that was not", async () => {
  const whole = await train(smallRun(root, "whole", `device=${device}`));
  const config = smallRun(root, "stopped", `device=${device}`);
  let asked = 0;
  const first = await train(config, { shouldStop: () => ++asked > 14 });
  assert.equal(first.finished, false);
  const second = await train(config, { resume: true });
  assert.equal(second.finished, true);
  assert.ok(Math.abs(second.validation.loss / whole.validation.loss - 1) < 1e-3);
  assert.equal(second.record.device, device);
});

test("the memory of a run is within a tenth of what --dry-run says", { skip: !isGpu }, async () => {
  const settings = [
    "dtype=bf16",
    "model.hidden_size=768",
    "model.num_attention_heads=12",
    "model.num_hidden_layers=12",
  ];
  settings.push(
    "model.intermediate_size=3072",
    "tokensPerStep=8192",
    "microBatchTokens=8192",
    "steps=3",
    "maxLength=24",
  );
  const config = smallRun(root, "memory", `device=${device}`, ...settings);
  const [, estimated] = /^memory +about ([\d.]+) GiB/m.exec(await describeRun(config));
  await train(config);
  const peak = memoryStats(device).peakBytes / 2 ** 30;
  assert.ok(Math.abs(peak / estimated - 1) < 0.1, `estimated ${estimated} GiB, had ${peak.toFixed(2)}`);
});

test("an engine on the GPU gives the CPU's hidden states", async () => {
  const { batch } = new Golden("neobert/base/expected.safetensors");
  const folder = join(goldenRoot, "neobert/base");
  const load = (place) => loadTorchEngine(folder, { dtype: "fp32", device: place });
  const engines = await Promise.all([device, "cpu"].map(load));
  const [there, here] = await Promise.all(engines.map((engine) => engine.hidden(batch)));
  assertClose(there, here, 1e-4, "hidden");
  for (const engine of engines) await engine.dispose();
});
