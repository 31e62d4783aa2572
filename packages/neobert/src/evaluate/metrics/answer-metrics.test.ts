// By hand, after SQuAD's official evaluation; ReCoRD's golden values are in glue-metrics.test.ts.

import { expect, test } from "vitest";
import { answerScores } from "./answer-metrics.js";

test("case, punctuation and articles do not count, and the best of the right answers does", () => {
  expect(answerScores("The Law!", ["a law", "war"])).toEqual({ exactMatch: 1, f1: 1 });
  // Two of three words given are right, of five: precision 2/3, recall 2/5.
  const { exactMatch, f1 } = answerScores("free people's war", ["war", "war of the free states now"]);
  expect(exactMatch).toBe(0);
  expect(f1).toBeCloseTo((2 * (2 / 3) * (2 / 5)) / (2 / 3 + 2 / 5), 12);
});

test("no answer is right where there is none, and nothing else", () => {
  expect(answerScores("", [""])).toEqual({ exactMatch: 1, f1: 1 });
  expect(answerScores("law", [""])).toEqual({ exactMatch: 0, f1: 0 });
  expect(answerScores("", ["law"])).toEqual({ exactMatch: 0, f1: 0 });
});

test("an article is a word of its own in every script", () => {
  expect(answerScores("ñandú", ["ñandú a"])).toEqual({ exactMatch: 1, f1: 1 });
  expect(answerScores("Españ", ["España"])).toEqual({ exactMatch: 0, f1: 0 });
  expect(answerScores("é", ["éa"])).toEqual({ exactMatch: 0, f1: 0 });
});
