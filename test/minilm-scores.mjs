// Scores of all-MiniLM-L6-v2 on the sets of mteb-local.yaml beside those that Python's mteb gave (golden/minilm/scores.json),
// with the difference that each kind of task may have, in points (x 100).
import { readFileSync } from "node:fs";

const golden = JSON.parse(readFileSync(new URL("golden/minilm/scores.json", import.meta.url), "utf8")).tasks;

/** The tasks that have a golden score. */
export const goldenTasks = Object.keys(golden);

function toleranceOf(name) {
  if (/^(STS|SICK|BIOSSES)/.test(name)) return 0.02;
  if (name.startsWith("summeval")) return 0.2;
  return 0.1;
}

/**
 * One task's result file (mteb's TaskResult) beside its golden score: `{ name, ours, golden, tolerance, isClose, detail }`. A
 * single run of mini-batch k-means may differ from the mean of many by three deviations; of a classification each of the
 * ten experiments may differ by half a point.
 */
export function besideGolden(name, result) {
  const entry = Object.values(result.scores)[0][0];
  const { scores } = golden[name];
  const ours = 100 * entry.main_score;
  const [expected, tolerance] =
    scores.std === undefined ? [100 * scores.main_score, toleranceOf(name)] : [100 * scores.mean, 300 * scores.std];
  const experiments = (scores.scores_per_experiment ?? []).map(
    ({ accuracy }, i) => 100 * Math.abs(accuracy - entry.scores_per_experiment[i].accuracy),
  );
  const worst = Math.max(0, ...experiments);
  const isClose = Math.abs(ours - expected) <= tolerance && worst <= 0.5;
  const detail = experiments.length > 0 ? `largest difference of an experiment ${worst.toFixed(2)}` : "";
  return { name, ours, golden: expected, tolerance, isClose, detail };
}

/** `STSBenchmark   82.03   82.03   0.00 of 0.02`. */
export function lineOf({ name, ours, golden, tolerance, isClose, detail }) {
  const numbers = [ours, golden].map((score) => score.toFixed(2).padStart(7)).join("");
  const difference = Math.abs(ours - golden)
    .toFixed(3)
    .padStart(8);
  return `${name.padEnd(40)}${numbers}${difference} of ${tolerance.toFixed(2)}${isClose ? "" : "  TOO FAR"}  ${detail}`.trimEnd();
}
