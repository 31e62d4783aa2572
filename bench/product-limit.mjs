// The limit of a training case: the time of its matrix products alone, each at the rate that its shape and type reach
// with a preallocated output. Run by train.mjs in a process of its own; prints one JSON line.

import { empty, matmul, randn, setNumThreads, tidy } from "@neobert/torch";
import { optionsOf, secondsOf, total as sum } from "./measure.mjs";

const { layers, task, threads, ...given } = optionsOf({
  layers: 28,
  batches: "",
  dtype: "fp32",
  task: "train",
  threads: 2,
});
setNumThreads(threads);
const [C, I, H, D, V] = [768, 2048, 12, 64, 30522];
const batches = JSON.parse(given.batches);
const dtype = given.dtype === "bf16" ? "bfloat16" : "float32";
const isTraining = task === "train";

/** Best seconds of one product `a` x `b`, either of them as the transpose of what lies in memory. */
const measured = new Map();
function seconds(shapeA, shapeB, transposed) {
  const key = JSON.stringify([shapeA, shapeB, transposed]);
  if (measured.has(key)) return measured.get(key);
  const best = tidy(() => {
    const place = ([...shape], turn) => {
      if (turn) shape.push(...shape.splice(-2).reverse());
      const x = randn(shape).to(dtype);
      return turn ? x.transpose(-1, -2) : x;
    };
    const [a, b] = [place(shapeA, transposed.includes("a")), place(shapeB, transposed.includes("b"))];
    const out = empty([...shapeA.slice(0, -1), shapeB.at(-1)], { dtype });
    let least = Number.POSITIVE_INFINITY;
    const begun = performance.now();
    for (let round = 0; round < 7 && (round < 3 || performance.now() - begun < 1500); round++) {
      const time = secondsOf(() => matmul(a, b, { out }));
      least = Math.min(least, time);
    }
    return least;
  });
  measured.set(key, best);
  return best;
}

/** A linear layer of `rows` rows: forward, and in training the gradients of input and weight. */
function linear(rows, inputs, outputs) {
  const forward = seconds([rows, inputs], [inputs, outputs], "b");
  if (!isTraining) return forward;
  return forward + seconds([rows, outputs], [outputs, inputs], "") + seconds([outputs, rows], [rows, inputs], "a");
}

/** Attention of one sequence: two products forward, five backward (scores again, and four gradients). */
function attention(length) {
  const scores = seconds([H, length, D], [H, D, length], "b");
  const values = seconds([H, length, length], [H, length, D], "");
  const turned = isTraining ? seconds([H, length, length], [H, length, D], "a") : 0;
  return isTraining ? scores + values + (2 * scores + values + 2 * turned) : scores + values;
}

const block = (rows) => linear(rows, C, C) + linear(rows, C, 2 * I) + linear(rows, I, C);
// Lengths are measured to the next multiple of 64, and counted as they are.
const rounded = (length) => Math.ceil(length / 64) * 64;

function limitOf(lengths) {
  const N = sum(lengths);
  const M = Math.floor(N / 5);
  const attend = sum(lengths.map((length) => attention(rounded(length)) * (length / rounded(length)) ** 2));
  const head = isTraining ? linear(M, C, V) : 0;
  const lastRows = isTraining ? M : N;
  return layers * (linear(N, C, 3 * C) + attend) + (layers - 1) * block(N) + block(lastRows) + head;
}

console.log(JSON.stringify({ seconds: sum(batches.map(limitOf)), tokens: sum(batches.flat()) }));
