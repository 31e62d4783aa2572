// The whole training step and encoding of the full-size NeoBERT on a GPU, tokens/s and share of the GPU's peak: ours against PyTorch
// (eager with flash attention, and compiled) in turns, and the memory of both. Skipped with the reason where no GPU can be used.
//   npm run bench -- gpu [case ...] [--rounds=3] [--device=cuda:0] [--python=python3] [--layers=28]
// `python` has torch with CUDA; PyTorch's rows are left out where it has none. What was never run on a GPU: README's limits.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { useCuda } from "@neobert/torch";
import { cores, here, machine, median, optionsOf, total } from "./measure.mjs";

const realLengths = [here("c4-lengths.json"), here("../../shared/peers/c4-lengths.json")].find(existsSync);
const cases = {
  "8x1024": { batch: 8, length: 1024 },
  "2x4096": { batch: 2, length: 4096 },
  c4: { batch: 32, lengths: realLengths },
  "8x1024-encode": { batch: 8, length: 1024, task: "encode" },
  "c4-encode": { batch: 32, lengths: realLengths, task: "encode" },
};

/** Dense bfloat16 products a second, as NVIDIA publishes them. */
const PEAKS = { H100: 989e12, H200: 989e12, A100: 312e12, L40S: 362e12, L4: 121e12, A10: 125e12, "RTX 4090": 165e12 };

const { names, rounds, device, python, layers, steps } = optionsOf(
  { rounds: 3, device: "cuda:0", python: "python3", layers: 28, steps: 10 },
  Object.keys(cases),
);

const reason = reasonToSkip();
if (reason !== undefined) {
  console.log(`bench gpu: skipped, as no GPU can be used here\n${reason}`);
  process.exit(0);
}

function reasonToSkip() {
  if (device === "cpu") return undefined; // to know that it runs
  try {
    useCuda(device);
  } catch (error) {
    return error.message;
  }
}

function run(program, script, options) {
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const { status, stdout, stderr } = spawnSync(program, [here(script), ...flags], { encoding: "utf8" });
  if (status !== 0) return { error: (stderr || "").trim().split("\n").at(-1) };
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

function output(program, ...args) {
  const { status, stdout } = spawnSync(program, args, { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

const gpu = output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader", `--id=${device.split(":")[1] ?? 0}`);
const [, peak] = Object.entries(PEAKS).find(([name]) => gpu?.includes(name)) ?? [];
const hasTorch = output(python, "-c", `import torch; torch.zeros(1, device="${device}"); print(torch.__version__)`);
console.log(
  `${gpu ?? device}${peak ? `, ${peak / 1e12} TFLOP/s at most` : ""}; ${machine(cores)}; PyTorch ${hasTorch ?? "none"}`,
);

/** Floating-point operations of a token: products of all matrices, attention, and the head on a fifth of the tokens. */
function flopsOfToken({ task = "train", ...shape }) {
  const [C, I, V] = [768, 2048, 30522];
  const texts = shape.lengths
    ? JSON.parse(readFileSync(shape.lengths, "utf8")).map((n) => Math.min(n, 1024))
    : [shape.length];
  const seen = total(texts.map((n) => n * n)) / total(texts); // keys of an average token
  const forward = layers * (2 * (4 * C * C + 3 * C * I) + 4 * seen * C);
  return task === "encode" ? forward : 3 * (forward + 0.2 * 2 * C * V);
}

for (const name of names) {
  const shape = Object.fromEntries(Object.entries(cases[name]).filter(([, value]) => value !== undefined));
  if ("lengths" in cases[name] && !realLengths) {
    console.log(`\n${name}: skipped, c4-lengths.json is absent`);
    continue;
  }
  const options = { ...shape, layers, device, dtype: "bf16", steps, warmup: 3 };
  const sides = { ours: () => run(process.execPath, "train-ours.mjs", options) };
  for (const mode of hasTorch ? ["eager", "compile"] : []) {
    sides[`PyTorch ${mode}`] = () => run(python, "train-torch.py", { ...options, mode });
  }
  const results = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round < rounds; round++) {
    const order = Object.keys(sides);
    for (const side of round % 2 === 0 ? order : order.reverse()) results[side].push(sides[side]());
  }
  console.log(`\n${name}`);
  const rates = {};
  for (const [side, all] of Object.entries(results)) {
    const good = all.filter(({ error }) => error === undefined);
    if (good.length === 0) {
      console.log(`  ${side.padEnd(16)} failed: ${all[0].error}`);
      continue;
    }
    rates[side] = median(good.map((result) => result.tokens_per_s_median));
    const best = Math.max(...good.map((result) => result.tokens_per_s_best));
    const memory = Math.max(...good.map((result) => result.peak_device_mb ?? 0));
    const share = peak ? `, ${((100 * rates[side] * flopsOfToken(shape)) / peak).toFixed(1)} % of the peak` : "";
    console.log(
      `  ${side.padEnd(16)} ${rates[side].toFixed(0).padStart(8)} tokens/s (best ${best.toFixed(0)})${share}, ${memory} MB`,
    );
  }
  for (const side of Object.keys(rates).filter((side) => side !== "ours")) {
    console.log(`  ours / ${side.padEnd(16)} ${(rates.ours / rates[side]).toFixed(2)}`);
  }
}
