// The whole training step (or encoding) of NeoBERT, tokens/s: ours against PyTorch at its best, in turns, and against the limit
// of the matrix products. PyTorch comes from the environment that `npm run test:peers` makes.
//   npm run bench -- train [case ...] [--rounds=2] [--dtypes=fp32,bf16]

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cores, here, machine, optionsOf, peerPython as python } from "./measure.mjs";

const realLengths = here("../../shared/peers/c4-lengths.json");
const cases = {
  "6 x 8x512": { layers: 6, batch: 8, length: 512 },
  "6 x 32x128": { layers: 6, batch: 32, length: 128 },
  "6 x 1x4096": { layers: 6, batch: 1, length: 4096, steps: 4 },
  "6 x mixed": { layers: 6, batch: 8, lengths: realLengths, steps: 8 },
  "6 x 1x16384": { layers: 6, batch: 1, length: 16384, steps: 2, alone: true },
  "28 x 8x512": { layers: 28, batch: 8, length: 512, steps: 3, checkpointing: true },
  "6 x 8x512 encode": { layers: 6, batch: 8, length: 512, task: "encode" },
  "28 x 8x512 encode": { layers: 28, batch: 8, length: 512, task: "encode", steps: 4 },
  "6 x mixed encode": { layers: 6, batch: 8, lengths: realLengths, task: "encode", steps: 8 },
};

const { names, rounds, dtypes } = optionsOf({ rounds: 2, dtypes: "fp32,bf16" }, Object.keys(cases));

function run(program, script, options) {
  const flags = Object.entries(options).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  const { status, stdout, stderr } = spawnSync(program, [here(script), ...flags], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (status !== 0) throw new Error(`${script} ${flags.join(" ")}: exit ${status}\n${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

const warmup = 2;
const modes = ["eager", "compile"];
console.log(`${machine(cores)}; tokens/s, median (best) over ${rounds} rounds in turns`);
for (const name of names) {
  // `alone`: without PyTorch; `checkpointing`: our step also with blocks computed again, for its memory.
  const { steps = 6, alone = false, checkpointing = false, ...shape } = cases[name];
  if (shape.lengths && !existsSync(realLengths)) {
    console.log(`${name}: skipped, ${realLengths} is absent`);
    continue;
  }
  const sides = {};
  for (let round = 0; round < rounds; round++) {
    for (const dtype of dtypes.split(",")) {
      const add = (side, program, script, options) => {
        const result = run(program, script, { ...shape, dtype, steps, warmup, ...options });
        (sides[side] ??= []).push(result);
      };
      add(`ours ${dtype}`, process.execPath, "train-ours.mjs", {});
      if (checkpointing && round === 0)
        add(`recomputed ${dtype}`, process.execPath, "train-ours.mjs", { checkpointing, steps: 1, warmup: 1 });
      for (const mode of existsSync(python) && !alone ? modes : []) {
        add(`PyTorch ${mode} ${dtype}`, python, "train-torch.py", { mode });
        if (shape.lengths) add(`sorted, ${mode} ${dtype}`, python, "train-torch.py", { mode, sort: true });
      }
    }
  }
  const medianOf = (results) => {
    const rates = results.map((result) => result.tokens_per_s_median).sort((a, b) => a - b);
    return (rates[(rates.length - 1) >> 1] + rates[rates.length >> 1]) / 2;
  };
  console.log(`\n${name}`);
  for (const [side, results] of Object.entries(sides)) {
    const best = Math.max(...results.map((result) => result.tokens_per_s_best));
    const memory = Math.max(...results.map((result) => result.peak_rss_mb));
    console.log(`  ${side.padEnd(24)} ${medianOf(results).toFixed(0).padStart(6)} (${best.toFixed(0)})  ${memory} MB`);
  }
  const best = (prefix) =>
    Object.entries(sides)
      .filter(([side]) => side.startsWith(prefix))
      .map(([side, results]) => [side, medianOf(results)])
      .sort((a, b) => b[1] - a[1])[0];
  const [ourSide, ourRate] = best("ours");
  const theirs = best("PyTorch");
  if (theirs)
    console.log(`  ours / best PyTorch      ${(ourRate / theirs[1]).toFixed(2)}  (${ourSide} / ${theirs[0]})`);
  const texts = shape.lengths && JSON.parse(readFileSync(realLengths, "utf8")).map((tokens) => Math.min(tokens, 1024));
  const batches = texts
    ? Array.from({ length: steps }, (_, i) => texts.slice((warmup + i) * shape.batch, (warmup + i + 1) * shape.batch))
    : [Array(shape.batch).fill(shape.length)];
  const limit = run(process.execPath, "product-limit.mjs", {
    layers: shape.layers,
    batches: JSON.stringify(batches),
    task: shape.task ?? "train",
    dtype: ourSide.split(" ")[1],
  });
  console.log(
    `  limit of the products    ${(limit.tokens / limit.seconds).toFixed(0)}, reached ${((100 * ourRate * limit.seconds) / limit.tokens).toFixed(0)} %`,
  );
}
