// Classification: logistic regression on the vectors of a few training texts of each label, scored on the whole test set;
// ten experiments with other training texts. The texts are those that mteb draws, so a score can be compared one experiment at
// a time. Each text is encoded once for all experiments.

import { chooseProducts } from "../learn/choose-products.js";
import { LogisticRegression } from "../learn/logistic-regression.js";
import type { Products } from "../learn/products.js";
import { RandomState } from "../learn/random-state.js";
import { inSlices } from "../learn/slices.js";
import { accuracy, averagePrecision, f1Macro, f1Weighted } from "../metrics/classification-metrics.js";
import type { Encode, Scores } from "./types.js";
import { encodeAll, encodeUnique, gatherRows, mean } from "./vectors.js";

type Label = number | string;
interface LabelledTexts {
  texts: readonly string[];
  labels: readonly Label[];
}

export interface ClassificationData {
  train: LabelledTexts;
  test: LabelledTexts;
}

export interface ClassificationOptions {
  /** 8 unless said. */
  samplesPerLabel?: number;
  experiments?: number;
  seed?: number;
  /** The name of the main score: accuracy unless said. */
  scores?: string;
  products?: Products;
  signal?: AbortSignal | undefined;
}

export async function evaluateClassification(
  { train, test }: ClassificationData,
  encode: Encode,
  options: ClassificationOptions = {},
): Promise<Scores> {
  for (const [name, { texts, labels }] of Object.entries({ train, test })) {
    if (texts.length !== labels.length || labels.length === 0) {
      throw new RangeError(
        `evaluateClassification: expected a label for each text in ${name}, got ${labels.length} and ${texts.length}`,
      );
    }
  }
  const { samplesPerLabel = 8, experiments = 10, seed = 42, scores: mainScore = "accuracy", signal } = options;
  const products = options.products ?? (await chooseProducts());
  const samples = drawSamples(train.labels, samplesPerLabel, experiments, seed);
  const used = [...new Set(samples.flat())];
  const place = new Map(used.map((row, i) => [row, i]));
  const usedTexts = used.map((row) => train.texts[row]!);
  const { vectors, rows } = await encodeUnique(usedTexts, encode, "query");
  const testVectors = await encodeAll(test.texts, encode, "query");
  const d = testVectors.shape[1];
  const testMatrix = products.matrix(testVectors.data, d);
  const results: Record<string, number>[] = [];
  for (const sample of samples) {
    const labels = sample.map((row) => train.labels[row]!);
    const places = sample.map((row) => rows[place.get(row)!]!);
    const x = gatherRows(vectors, places);
    const model = await inSlices(LogisticRegression.fitSteps(x.data, d, labels, { products }), signal);
    results.push(experimentScores(test.labels, model.predict(testMatrix), new Set(labels).size === 2));
  }
  testMatrix.dispose();
  const means = Object.fromEntries(
    Object.keys(results[0]!).map((name) => [name, mean(results.map((result) => result[name]!))]),
  );
  const main = means[mainScore];
  if (main === undefined) {
    throw new Error(
      `evaluateClassification: expected the main score to be one of ${Object.keys(means).join(", ")}, got ${mainScore}`,
    );
  }
  return { ...means, scores_per_experiment: results, main_score: main };
}

function experimentScores(truth: readonly Label[], predictions: readonly Label[], isBinary: boolean) {
  const scores: Record<string, number> = {
    accuracy: accuracy(truth, predictions),
    f1: f1Macro(truth, predictions),
    f1_weighted: f1Weighted(truth, predictions),
  };
  if (isBinary) {
    // Of the predicted labels, not of probabilities, as mteb has it.
    const isRelevant = truth.map((label) => Number(label) === 1);
    const ap = averagePrecision(isRelevant, predictions.map(Number));
    Object.assign(scores, { ap, ap_weighted: ap });
  }
  return scores;
}

/**
 * The training rows of each experiment: the first `samplesPerLabel` of every label in a shuffled order. The generator starts
 * from `seed` each time and shuffles what the last experiment left.
 */
export function drawSamples(
  labels: readonly Label[],
  samplesPerLabel: number,
  experiments: number,
  seed: number,
): number[][] {
  const order = Array.from(labels, (_, i) => i);
  return Array.from({ length: experiments }, () => {
    new RandomState(seed).shuffle(order);
    const counts = new Map<Label, number>();
    return order.filter((row) => {
      const count = counts.get(labels[row]!) ?? 0;
      counts.set(labels[row]!, count + 1);
      return count < samplesPerLabel;
    });
  });
}
