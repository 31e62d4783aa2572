// Packed attention, ours against libtorch's flash attention called per sequence (NEOBERT_FUSED=0), GFLOP/s.
// Counted are the two products of the forward and the five of the backward pass, within the window where there is one. The two
// sides take turns in one process; the limit is a 1,024 x 1,024 x 1,024 product of the same type.
// Run after `npm run build`: node bench/kernels-attention.mjs [--threads=N] [case ...]

import { existsSync, readFileSync } from "node:fs";
import { Generator, grad, noGrad, packedAttention, randn, setNumThreads, tidy } from "@neobert/torch";
import { cores, here, machine, median, optionsOf, secondsOf as seconds } from "./measure.mjs";

const heads = 12;
const width = 64;
const lengthsFile = here("../../shared/peers/c4-lengths.json");

/** Lengths of real texts, cut at 1,024, as they come, up to 8,192 tokens. */
function mixedLengths() {
  if (!existsSync(lengthsFile)) return undefined;
  const lengths = [];
  let tokens = 0;
  for (const whole of JSON.parse(readFileSync(lengthsFile, "utf8"))) {
    const length = Math.min(whole, 1024);
    if (tokens + length > 8192) break;
    lengths.push(length);
    tokens += length;
  }
  return lengths;
}

const cases = {
  "8x512": { lengths: Array(8).fill(512) },
  "32x128": { lengths: Array(32).fill(128) },
  mixed: { lengths: mixedLengths() },
  "1x4096": { lengths: [4096] },
  "1x16384": { lengths: [16384], rounds: 2 },
  "8x512-window-64": { lengths: Array(8).fill(512), window: 64 },
  "8x512-wide": { lengths: Array(8).fill(512), width: 128 },
};

/** Seconds of forward without gradients and of backward alone, a list for each side. */
function measure({ lengths, rounds = 7, window, width: D = width }, dtype) {
  const cuSeqlens = [0];
  for (const length of lengths) cuSeqlens.push(cuSeqlens.at(-1) + length);
  const generator = new Generator(1);
  const times = { ours: { forward: [], backward: [] }, libtorch: { forward: [], backward: [] } };
  tidy(() => {
    const shape = [cuSeqlens.at(-1), heads, D];
    const [q, k, v, gradOutput] = [0, 1, 2, 3].map(() => randn(shape, { generator }).to(dtype));
    const leaves = [q, k, v].map((x) => x.requiresGrad_());
    for (let round = rounds > 2 ? -1 : 0; round < rounds; round++)
      for (const side of ["ours", "libtorch"])
        tidy(() => {
          process.env.NEOBERT_FUSED = side === "ours" ? "1" : "0";
          const forward = seconds(() => noGrad(() => packedAttention(...leaves, cuSeqlens, { window })));
          const output = packedAttention(...leaves, cuSeqlens, { window });
          const backward = seconds(() => grad([output], leaves, [gradOutput]));
          // The first round warms both up.
          if (round < 0) return;
          times[side].forward.push(forward);
          times[side].backward.push(backward);
        });
  });
  return times;
}

/** GFLOP/s of a large product, the best of five. */
function productRate(dtype) {
  return tidy(() => {
    const [a, b] = [1, 2].map((seed) => randn([1024, 1024], { generator: new Generator(seed) }).to(dtype));
    const best = Math.min(...Array.from({ length: 6 }, () => seconds(() => a.matmul(b))));
    return (2 * 1024 ** 3) / best / 1e9;
  });
}

/** Scores that the queries of these sequences have, a head. */
function scoresOf({ lengths, window = Number.POSITIVE_INFINITY }) {
  let scores = 0;
  for (const length of lengths)
    for (let i = 0; i < length; i++) scores += Math.min(length, i + window + 1) - Math.max(0, i - window);
  return scores;
}

const { names, threads } = optionsOf({ threads: cores }, Object.keys(cases));
setNumThreads(threads);
console.log(`${machine(threads)}; H = ${heads}, D = ${width}; GFLOP/s median (best)`);
for (const dtype of ["float32", "bfloat16"]) {
  console.log(`${dtype}: a large product ${productRate(dtype).toFixed(0)}`);
  for (const name of names) {
    const layout = cases[name];
    if (!layout.lengths) {
      console.log(`  ${name}: skipped, ../shared/peers/c4-lengths.json is absent`);
      continue;
    }
    const times = measure(layout, dtype);
    const products = 2 * scoresOf(layout) * heads * (layout.width ?? width);
    for (const [pass, count] of [
      ["forward", 2],
      ["backward", 5],
    ]) {
      const rate = (time) => ((count * products) / time / 1e9).toFixed(0);
      const [ours, libtorch] = ["ours", "libtorch"].map((side) => times[side][pass]);
      const shown = (list) => `${rate(median(list))} (${rate(Math.min(...list))})`;
      console.log(
        `  ${name.padEnd(16)} ${pass.padEnd(9)} ours ${shown(ours).padEnd(10)} libtorch ${shown(libtorch).padEnd(10)} ` +
          `ratio ${(median(libtorch) / median(ours)).toFixed(2)} (${(Math.min(...libtorch) / Math.min(...ours)).toFixed(2)})`,
      );
    }
  }
}
