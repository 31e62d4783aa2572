// Products with packed weights (float32, bfloat16, int8) against libtorch's own, and PyTorch's dynamic int8 by FBGEMM and oneDNN, in turns:
// G operations/s by shape, median of the rounds. What goes in is float32 and so is what comes out, on all sides but bfloat16's.
//   npm run bench -- packed-products [--threads=N] [--rounds=5]

import { existsSync } from "node:fs";
import { canPack, linear, noGrad, PrepackedWeight, prepackedLinears, randn, setNumThreads, tidy } from "@neobert/torch";
import { cores, here, machine, median, optionsOf, peerPython, secondsOf } from "./measure.mjs";
import { startSide } from "./side.mjs";

const { threads, rounds } = optionsOf({ threads: cores, rounds: 5 });
const PLAIN = { activation: "none", gate: "none" };
// Rows, width and channels of MiniLM's, BERT's and NeoBERT's layers: a short text, a few, many.
const shapes = [14, 128, 2048].flatMap((rows) => [
  [rows, 384, 384],
  [rows, 384, 1536],
  [rows, 768, 3072],
  [rows, 3072, 768],
  [rows, 768, 4096],
]);
setNumThreads(threads);
const python = existsSync(peerPython) ? startSide(peerPython, here("packed-products.py"), { threads }) : undefined;
if (python) await python.next();
else console.log("PyTorch's side is absent: npm run test:peers makes its environment.");

function ours([rows, width, channels]) {
  return tidy(() =>
    noGrad(() => {
      const [x, weight, bias] = [randn([rows, width]), randn([channels, width]), randn([channels])];
      const sides = { "libtorch float32": () => linear(x, weight, bias) };
      for (const type of ["float32", "bfloat16", "int8"].filter(canPack)) {
        const layer = { weight: PrepackedWeight.pack(weight, type), bias };
        sides[type] = () => prepackedLinears(x, [layer], PLAIN, "float32");
      }
      const operations = 2 * rows * width * channels;
      const repeats = Math.max(1, Math.floor(4e9 / operations));
      const rate = (run) => {
        tidy(() => void run());
        const seconds = secondsOf(() => {
          for (let i = 0; i < repeats; i++) tidy(() => void run());
        });
        return (operations * repeats) / seconds / 1e9;
      };
      return Object.fromEntries(Object.entries(sides).map(([side, run]) => [side, rate(run)]));
    }),
  );
}

console.log(`${machine(threads)}; medians of ${rounds} rounds, G operations/s`);
for (const shape of shapes) {
  const rates = {};
  for (let round = 0; round < rounds; round++) {
    const both = { ...ours(shape), ...(await python?.ask(shape)) };
    for (const [side, rate] of Object.entries(both)) (rates[side] ??= []).push(rate);
  }
  const cells = Object.entries(rates).map(([side, list]) => `${side} ${median(list).toFixed(0)}`);
  console.log(`${shape.join(" x ").padEnd(18)} ${cells.join(", ")}`);
}
await python?.end();
