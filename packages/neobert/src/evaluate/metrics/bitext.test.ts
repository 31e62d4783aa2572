// Oracle: golden/metrics/bitext.json.gz, made by mteb.

import { expect, test } from "vitest";
import { golden } from "../fixture-evaluate.js";
import { bitextScores } from "./bitext.js";

test("precision, recall, F1 and accuracy of bitext mining are mteb's", () => {
  const { embeddings1, embeddings2, expected } = golden("bitext.json.gz");
  const cosine = (a: number[], b: number[]) => {
    const dot = (u: number[], v: number[]) => u.reduce((sum, value, i) => sum + value * v[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const found = embeddings1.map((vector: number[]) => {
    const scores: number[] = embeddings2.map((other: number[]) => cosine(vector, other));
    return scores.indexOf(Math.max(...scores));
  });
  const got = bitextScores([...found.keys()], found);
  for (const name of ["precision", "recall", "f1", "accuracy"] as const) {
    expect(Math.abs(got[name] - expected[name]), name).toBeLessThan(1e-9);
  }
});
