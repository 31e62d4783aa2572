// What evaluators learn, against scikit-learn: logistic regression (fit and predict) and mini-batch k-means as mteb calls them,
// on vectors of the sizes of its tasks, both sides taking turns. Shown: median and best seconds, how far the results agree.
//   npm run bench -- evaluate-learners [--rounds=5] [--plain]
// scikit-learn comes from the environment of `npm run test:peers`; --plain measures the loops used without libtorch, too.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import {
  accuracy,
  adjustedRand,
  chooseProducts,
  LogisticRegression,
  miniBatchKMeans,
  plainProducts,
  RandomState,
} from "neobert/evaluate";
import { cores, here, inTurns, machine, median, needFiles, optionsOf, peerPython } from "./measure.mjs";
import { startSide } from "./side.mjs";

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
    const unit = row.map((x) => x / length);
    vectors.set(unit, i * d);
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

const { rounds, plain } = optionsOf({ rounds: 5, plain: false });
needFiles(peerPython);
const products = await chooseProducts();
const peer = startSide(peerPython, here("evaluate-learners.py"), {});
await peer.next();
const sides = {
  [`ours (${products.name})`]: ourSide(products),
  "scikit-learn": ({ vectors, ...task }) => peer.ask(task),
};
if (plain && products !== plainProducts) sides["ours (plain)"] = ourSide(plainProducts);
console.log(`${machine(cores)}; median (best) of ${rounds} rounds in turns`);
const folder = mkdtempSync(join(tmpdir(), "neobert-bench-"));
try {
  for (const { name, kind, classes, each, test, rows } of cases) {
    const train = kind === "k-means" ? 0 : classes * each;
    const vectors = clusteredVectors(rows ?? train + test, classes, new RandomState(0));
    const file = join(folder, "vectors.f32");
    writeFileSync(file, vectors);
    const labels = Array.from({ length: train }, (_, i) => i % classes);
    const task = { kind, file, d, train, k: classes, labels, vectors };
    const runs = Object.entries(sides).map(([side, run]) => [
      side,
      async (round) => {
        await setTimeout(50); // until the other side's threads have ceased to spin
        return run({ ...task, seed: Math.max(0, round) });
      },
    ]);
    const found = await inTurns(Object.fromEntries(runs), rounds, WARM_UP);
    console.log(`${kind}, ${name} (${train || rows} x ${d}, ${classes} classes)`);
    const theirs = found["scikit-learn"];
    const agree = kind === "k-means" ? adjustedRand : accuracy;
    for (const [side, ours] of Object.entries(found)) {
      const [times, theirTimes] = [ours, theirs].map((list) => list.map(({ seconds }) => seconds));
      const agreement = median(ours.map((own, round) => agree(theirs[round].labels, own.labels)));
      const columns = [
        `${(1e3 * median(times)).toFixed(1)} ms (${(1e3 * Math.min(...times)).toFixed(1)})`.padStart(20),
        `${(median(theirTimes) / median(times)).toFixed(2)} x`.padStart(9),
        `${ours.at(-1).steps} steps`.padStart(11),
        `agreement ${agreement.toFixed(4)}`.padStart(19),
      ];
      console.log(`  ${side.padEnd(18)}${columns.join("")}`);
    }
  }
} finally {
  peer.end();
  rmSync(folder, { recursive: true });
}
