// What evaluators learn, against scikit-learn: logistic regression (fit and predict) and mini-batch k-means as mteb calls them,
// on vectors of the sizes of its tasks, both sides taking turns. Shown: median and best seconds, how far the results agree.
//   npm run bench -- evaluate-learners [--rounds=5] [--plain]
// scikit-learn comes from the environment of `npm run test:peers`; --plain measures the loops used without libtorch, too.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  accuracy,
  adjustedRand,
  chooseProducts,
  LogisticRegression,
  miniBatchKMeans,
  plainProducts,
  RandomState,
} from "neobert/evaluate";
import { startSide } from "./side.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const d = 384;
/** Rounds of both sides before the first that counts; mteb fits ten times a task. */
const WARM_UP = 3;

// name: classes, training rows a class, test rows; or clusters and rows.
const cases = [
  { name: "Banking77", kind: "logistic regression", classes: 77, each: 8, test: 3080 },
  { name: "MTOPIntent", kind: "logistic regression", classes: 113, each: 8, test: 4386 },
  { name: "Emotion", kind: "logistic regression", classes: 6, each: 16, test: 2000 },
  { name: "ToxicConversations", kind: "logistic regression", classes: 2, each: 16, test: 2048 },
  { name: "TwentyNewsgroups", kind: "k-means", classes: 20, rows: 5954 },
  { name: "StackExchange", kind: "k-means", classes: 121, rows: 15000 },
  { name: "Reddit P2P", kind: "k-means", classes: 50, rows: 40000 },
];

/** Unit vectors around as many directions as there are classes, the classes in turn. */
function clusteredVectors(rows, classes, random) {
  const normals = () => Float32Array.from({ length: d }, () => random.randn());
  const centers = Array.from({ length: classes }, normals);
  const vectors = new Float32Array(rows * d);
  for (let i = 0; i < rows; i++) {
    const row = normals().map((noise, c) => centers[i % classes][c] + 1.3 * noise);
    const length = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    vectors.set(
      row.map((x) => x / length),
      i * d,
    );
  }
  return vectors;
}

function ourSide(products) {
  return async (task) => {
    const start = performance.now();
    let result;
    if (task.kind === "logistic regression") {
      const at = task.train * d;
      const model = LogisticRegression.fit(task.vectors.subarray(0, at), d, task.labels, { products });
      const test = products.matrix(task.vectors.subarray(at), d);
      result = { labels: model.predict(test), steps: model.iterations };
      test.dispose();
    } else {
      const random = new RandomState(task.seed);
      result = miniBatchKMeans(task.vectors, d, task.k, { products, random, batchSize: 500 });
    }
    return { seconds: (performance.now() - start) / 1000, labels: [...result.labels], steps: result.steps };
  };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Every case's times by side, and how far each side's labels agree with scikit-learn's, in one interleaved run. */
export async function benchLearners({ python, rounds = 5, plain = false }) {
  const folder = mkdtempSync(join(tmpdir(), "neobert-bench-"));
  const peer = startSide(python, here("evaluate-learners.py"), {});
  await peer.next();
  const products = await chooseProducts();
  const sides = {
    [`ours (${products.name})`]: ourSide(products),
    "scikit-learn": ({ vectors, ...task }) => peer.ask(task),
  };
  if (plain && products !== plainProducts) sides["ours (plain)"] = ourSide(plainProducts);
  const results = [];
  try {
    for (const { name, kind, classes, each, test, rows } of cases) {
      const train = kind === "k-means" ? 0 : classes * each;
      const vectors = clusteredVectors(rows ?? train + test, classes, new RandomState(0));
      const file = join(folder, "vectors.f32");
      writeFileSync(file, vectors);
      const labels = Array.from({ length: train }, (_, i) => i % classes);
      const task = { kind, file, d, train, k: classes, labels, vectors };
      const result = {
        name,
        kind,
        shape: `${train || rows} x ${d}, ${classes}`,
        seconds: {},
        steps: {},
        agreement: {},
      };
      for (let round = -WARM_UP; round < rounds; round++) {
        const found = {};
        for (const [side, run] of Object.entries(sides)) {
          await setTimeout(50); // until the other side's threads have ceased to spin
          found[side] = await run({ ...task, seed: Math.max(0, round) });
          if (round >= 0) (result.seconds[side] ??= []).push(found[side].seconds);
          result.steps[side] = found[side].steps;
        }
        for (const side of Object.keys(sides)) {
          const agree = kind === "k-means" ? adjustedRand : accuracy;
          (result.agreement[side] ??= []).push(agree(found["scikit-learn"].labels, found[side].labels));
        }
      }
      results.push(result);
    }
  } finally {
    peer.end();
    rmSync(folder, { recursive: true });
  }
  return results;
}

/** A line a case and side. */
export function formatLearners(results) {
  return results.flatMap(({ name, kind, shape, seconds, steps, agreement }) => [
    `${kind}, ${name} (${shape} classes)`,
    ...Object.entries(seconds).map(([side, times]) => {
      const ratio = median(seconds["scikit-learn"]) / median(times);
      const columns = [
        `${(1e3 * median(times)).toFixed(1)} ms (${(1e3 * Math.min(...times)).toFixed(1)})`.padStart(20),
        `${ratio.toFixed(2)} x`.padStart(9),
        `${steps[side]} steps`.padStart(11),
        `agreement ${median(agreement[side]).toFixed(4)}`.padStart(19),
      ];
      return `  ${side.padEnd(18)}${columns.join("")}`;
    }),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { rounds: { type: "string", default: "5" }, plain: { type: "boolean", default: false } },
  });
  const python = here("../.cache/peers/transformers-4/bin/python");
  if (!existsSync(python)) console.log("Skipped: `npm run test:peers` makes the environment with scikit-learn.");
  else {
    const rounds = Number(values.rounds);
    console.log(`${cpus()[0].model}, Node ${process.version}; median (best) of ${rounds} rounds in turns`);
    for (const line of formatLearners(await benchLearners({ python, rounds, plain: values.plain }))) console.log(line);
  }
}
