// Oracle: golden/metrics, made by mteb 1.34.14's evaluators on small vectors. `encode` looks the vectors up by their text.

import { describe, expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { plainProducts } from "../learn/products.js";
import { drawSamples, evaluateClassification } from "./classification.js";
import { evaluateClustering } from "./clustering.js";
import { evaluatePairClassification } from "./pair-classification.js";
import { evaluateReranking, type RerankingData } from "./reranking.js";
import { evaluateSts } from "./sts.js";
import { evaluateSummarization } from "./summarization.js";
import type { Encode, Scores } from "./types.js";
import { encodeAll, pairSimilarities } from "./vectors.js";

const vectorsOf = (rows: number[][]) => ({
  data: Float32Array.from(rows.flat()),
  shape: [rows.length, rows[0]?.length ?? 0] as const,
});
const lookUp =
  (table: Record<string, number[]>): Encode =>
  async (texts) =>
    vectorsOf(texts.map((text) => table[text]!));
/** Texts "<name><i>" for rows of vectors, and the table that gives them back. */
const named = (lists: Record<string, number[][]>) => ({
  encode: lookUp(
    Object.fromEntries(Object.entries(lists).flatMap(([name, rows]) => rows.map((row, i) => [`${name}${i}`, row]))),
  ),
  texts: (name: string) => lists[name]!.map((_, i) => `${name}${i}`),
});
function expectScores(got: Scores, expected: Record<string, number | null>, tolerance: (name: string) => number) {
  for (const [name, value] of Object.entries(expected)) {
    if (value === null) expect(got[name], name).toBeNaN();
    else expect(Math.abs((got[name] as number) - value), name).toBeLessThan(tolerance(name));
  }
}

test("STS: similarities and scores are mteb's, a row of zeros among them", async () => {
  for (const { embeddings1, embeddings2, gold, expected, similarities } of golden("sts.json.gz").cases) {
    const { encode, texts } = named({ a: embeddings1, b: embeddings2 });
    const scores = gold.map((score: number) => 1 + 4 * score);
    const data = { sentences1: texts("a"), sentences2: texts("b"), scores, min: 1, max: 5 };
    const got = await evaluateSts(data, encode);
    expectScores(got, expected, () => 1e-5);
    expect(got.main_score).toBe(got.cosine_spearman);
    const rows = [...gold.keys()];
    const { cosine, manhattan, euclidean } = pairSimilarities(
      vectorsOf(embeddings1),
      rows,
      vectorsOf(embeddings2),
      rows,
    );
    for (const i of rows) {
      expect(Math.abs(cosine[i]! - similarities.cosine[i])).toBeLessThan(1e-5);
      expect(Math.abs(-manhattan[i]! - similarities.manhattan[i])).toBeLessThan(1e-5);
      expect(Math.abs(-euclidean[i]! - similarities.euclidean[i])).toBeLessThan(1e-5);
    }
  }
});

test("equal sentences have a cosine of exactly 1, so that they tie", () => {
  const vectors = vectorsOf([
    [0.1, 0.7, -0.3, 0.2],
    [3, 1, 1 / 3, 7],
  ]);
  expect([...pairSimilarities(vectors, [0, 1], vectors, [0, 1]).cosine]).toEqual([1, 1]);
});

interface PairCase {
  embeddings1: number[][];
  embeddings2: number[][];
  labels: number[];
  expected: Record<string, number>;
  ties: boolean;
}
const pairCases: PairCase[] = golden("pair_classification.json.gz").cases;

test.each(pairCases.map((one, i) => [i, one.ties, one] as const))(
  "pair classification %i (ties: %s): every score and threshold is mteb's",
  async (_, ties, { embeddings1, embeddings2, labels, expected }) => {
    const { encode, texts } = named({ a: embeddings1, b: embeddings2 });
    const got = await evaluatePairClassification({ sentences1: texts("a"), sentences2: texts("b"), labels }, encode);
    expect(Object.keys(got).sort()).toEqual(Object.keys(expected).sort());
    if (!ties) expectScores(got, expected, (name) => (name.endsWith("threshold") ? 1e-4 : 1e-6));
    else {
      const compared = Object.entries(expected).filter(([name]) => /_(ap|accuracy|f1)$/.test(name));
      expectScores(got, Object.fromEntries(compared), () => 0.05);
    }
  },
);

interface RerankingCase extends RerankingData {
  nested_queries: boolean;
  embeddings: Record<string, number[]>;
  expected: Record<string, number>;
}
const rerankingCases: RerankingCase[] = golden("reranking.json.gz").cases;

test.each(rerankingCases.map((one) => [one.nested_queries, one] as const))(
  "reranking (queries of several texts: %s): map, mrr and nAUC are mteb's",
  async (_, { samples, embeddings, expected }) => {
    const got = await evaluateReranking({ samples }, lookUp(embeddings));
    expectScores(got, expected, () => 1e-6);
    expect(Object.keys(got).sort()).toEqual(Object.keys(expected).sort());
  },
);

describe("classification", () => {
  test("the training rows of each experiment are those that mteb draws", () => {
    for (const { labels, samples_per_label, indices_per_experiment } of golden("classification_sampling.json.gz")
      .cases) {
      const draws = drawSamples(labels, samples_per_label, indices_per_experiment.length, 42);
      expect(draws).toEqual(indices_per_experiment);
    }
  });

  const { X, y, X_test, y_test, expected, scores_per_experiment } = golden("classification_protocol.json.gz");
  const { encode, texts } = named({ train: X, test: X_test });
  const data = { train: { texts: texts("train"), labels: y }, test: { texts: texts("test"), labels: y_test } };

  test("the whole protocol gives mteb's means, and its scores in each experiment", async () => {
    let encoded = 0;
    const got = await evaluateClassification(
      data,
      (list, role) => {
        encoded += list.length;
        return encode(list, role);
      },
      { samplesPerLabel: 8 },
    );
    expectScores(got, expected, () => 0.01);
    const experiments = got.scores_per_experiment as Record<string, number>[];
    expect(experiments.length).toBe(scores_per_experiment.length);
    for (const [i, one] of experiments.entries()) expectScores(one as Scores, scores_per_experiment[i], () => 0.03);
    expect(got.main_score).toBe(got.accuracy);
    expect(encoded).toBeLessThanOrEqual(X.length + X_test.length);
  });

  test("two classes have an average precision, and it can be the main score", async () => {
    const two = (labels: number[]) => labels.map((label) => Number(label > 2));
    const binary = {
      train: { ...data.train, labels: two(data.train.labels) },
      test: { ...data.test, labels: two(data.test.labels) },
    };
    const got = await evaluateClassification(binary, encode, { scores: "ap", products: plainProducts });
    expect(got.main_score).toBe(got.ap);
    expect(got.ap_weighted).toBe(got.ap);
    await expect(evaluateClassification(data, encode, { scores: "ap" })).rejects.toThrow(
      "expected the main score to be one of accuracy, f1, f1_weighted, got ap",
    );
  });
});

test("clustering: the mean v-measure over the sets, each from seed 42 as mteb's", async () => {
  const { X, labels, seed_42 } = golden("kmeans.json.gz");
  const { encode, texts } = named({ x: X });
  const set = { sentences: texts("x"), labels };
  const got = await evaluateClustering({ sets: [set, set] }, encode);
  const [first, second] = got.v_measures as number[];
  expect(first).toBe(second);
  expect(got.main_score).toBeCloseTo(first!, 12);
  expect(got.v_measure_std).toBeCloseTo(0, 12);
  expect(Math.abs(first! - seed_42.v_measure)).toBeLessThan(0.01);
});

test("summarization: scores are mteb's, with its old mistake and without", async () => {
  const { human, machine, gold, expected } = golden("summarization.json.gz");
  const table: Record<string, number[]> = {};
  const samples = gold.map((scores: number[], i: number) => {
    const name = (kind: string, vectors: number[][]) =>
      vectors.map((vector, j) => {
        table[`${kind}${i}.${j}`] = vector;
        return `${kind}${i}.${j}`;
      });
    return { human: name("h", human[i]), machine: name("m", machine[i]), relevance: scores.map((score) => 5 * score) };
  });
  expectScores(await evaluateSummarization({ samples }, lookUp(table)), expected.summeval, () => 1e-6);
  expectScores(await evaluateSummarization({ samples }, lookUp(table), { fixed: true }), expected.fixed, () => 1e-6);
});

test("an encoder that gives another number of vectors is refused", async () => {
  const one: Encode = async () => vectorsOf([[1, 2]]);
  await expect(encodeAll(["a", "b"], one, "query")).rejects.toThrow(
    "encode: expected one vector for each of 2 texts, got 2 values of shape [1, 2]",
  );
});
