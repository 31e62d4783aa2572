// Oracle: golden/metrics/retrieval.json.gz, made by pytrec_eval and mteb.

import { expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { confidenceOf, nAUCScores } from "./abstention.js";
import { CUTOFFS, compareIds, type RankingMeasure, rankingScores } from "./ranking.js";

interface Case {
  qrels: Record<string, Record<string, number>>;
  run: Record<string, Record<string, number>>;
  ignore_identical_ids: boolean;
  expected: Record<string, number>;
  nAUC: Record<string, number | null>;
  per_query: Record<string, Record<string, number>>;
}
const cases: Case[] = golden("retrieval.json.gz").cases;
const names = { ndcg: "NDCG", map: "MAP", recall: "Recall", precision: "P", mrr: "MRR" };
const trec = { ndcg: "ndcg_cut_", map: "map_cut_", recall: "recall_", precision: "P_", mrr: "MRR@" };

test.each(cases.map((one, i) => [i, one] as const))("case %i: every query's scores, their means and nAUC", (_, one) => {
  const queries = Object.entries(one.run).map(([id, documents]) => {
    const kept = Object.entries(documents).filter(([document]) => !one.ignore_identical_ids || document !== id);
    const ranking = new Map(kept);
    return { id, ranking, scores: rankingScores(ranking, new Map(Object.entries(one.qrels[id]!))) };
  });
  expect(queries.length).toBeGreaterThan(5);
  for (const { id, scores } of queries) {
    for (const measure of Object.keys(trec) as RankingMeasure[]) {
      for (const [i, k] of CUTOFFS.entries()) {
        const expected = one.per_query[id]![trec[measure] + k];
        if (expected === undefined) continue;
        expect(Math.abs(scores[measure][i]! - expected), `${id} ${measure} ${k}`).toBeLessThan(1e-6);
      }
    }
  }
  const confidence = queries.map(({ ranking }) => confidenceOf([...ranking.values()]));
  for (const measure of Object.keys(names) as RankingMeasure[]) {
    for (const [i, k] of CUTOFFS.entries()) {
      const name = `${names[measure]}@${k}`;
      const values = queries.map(({ scores }) => scores[measure][i]!);
      const mean = values.reduce((a, b) => a + b) / values.length;
      expect(Math.abs(mean - one.expected[name]!), name).toBeLessThan(1e-5);
      for (const [key, value] of Object.entries(nAUCScores(name, confidence, values))) {
        const expected = one.nAUC[key];
        if (expected === null) expect(value, key).toBeNaN();
        else expect(Math.abs(value - expected!), key).toBeLessThan(1e-6);
      }
    }
  }
});

test("the golden runs have ties, graded judgements and a query's own id among its documents", () => {
  const scores = cases.flatMap(({ run }) => Object.values(run).map((documents) => Object.values(documents)));
  expect(scores.some((list) => new Set(list).size < list.length)).toBe(true);
  expect(
    cases.some(({ qrels }) => Object.values(qrels).some((one) => Object.values(one).some((value) => value > 1))),
  ).toBe(true);
  expect(cases.some((one) => one.ignore_identical_ids)).toBe(true);
});

test("among equal scores the larger document id ranks first, in the order of bytes", () => {
  const ranking = new Map([
    ["a", 1],
    ["b", 1],
    ["\u{1f600}", 1],
    ["\uffee", 1],
  ]);
  const [first] = rankingScores(ranking, new Map([["\u{1f600}", 1]]), [1]).precision;
  expect(first).toBe(1);
  const ids = ["b", "ab", "a", "\u{1f600}", "\uffee", "é", "\u{1f601}"];
  const bytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
  expect([...ids].sort(compareIds)).toEqual([...ids].sort(bytes));
});
