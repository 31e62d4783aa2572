// Oracle: probabilities counted by hand.

import { expect, test } from "vitest";
import { countTokens, unigramScores } from "./unigram.js";

test("the unigram's loss is the mean surprise under the counts, one added to each", () => {
  const counts = countTokens([0, 0, 0, 1, 1], 3); // 4, 3 and 1 of 8
  const scores = unigramScores(counts, [0, 1, 2, 2]);
  expect(scores.loss).toBeCloseTo((Math.log(8 / 4) + Math.log(8 / 3) + 2 * Math.log(8)) / 4, 12);
  expect(scores).toMatchObject({ accuracy: 1 / 4, top5: 1, targets: 4 });
});

test("only the five commonest tokens count for top-5", () => {
  const counts = countTokens([5, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9], 10);
  expect(unigramScores(counts, [5, 6, 7, 8, 9, 0, 1, 2]).top5).toBe(5 / 8);
  expect(unigramScores(counts, [5, 0]).accuracy).toBe(1 / 2);
});
