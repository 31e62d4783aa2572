// Oracle: counts by hand, by conlleval's rules.

import { expect, test } from "vitest";
import { areEntityTags, entityScores } from "./entity-metrics.js";

const tags = (text: string) => text.split(" ");

test("an entity counts only where first word, last word and kind are right", () => {
  const expected = [tags("B-PER I-PER O B-LOC"), tags("O B-ORG O")];
  const predicted = [tags("B-PER I-PER O B-ORG"), tags("O B-ORG I-ORG")];
  expect(entityScores(expected, predicted)).toEqual({ precision: 1 / 3, recall: 1 / 3, f1: 1 / 3 });
});

test("neighbours of one kind are two entities where the second begins anew, and I- without a beginning begins one", () => {
  expect(entityScores([tags("B-A B-A I-B")], [tags("B-A B-A I-B")])).toEqual({ precision: 1, recall: 1, f1: 1 });
  expect(entityScores([tags("B-A B-A")], [tags("B-A I-A")]).f1).toBe(0);
  expect(entityScores([tags("I-A I-A O")], [tags("B-A I-A O")]).f1).toBe(1);
  expect(entityScores([tags("B-A E-A S-A")], [tags("B-A I-A B-A")]).f1).toBe(1);
});

test("without entities the scores are 0", () => {
  expect(entityScores([tags("O O")], [tags("O O")])).toEqual({ precision: 0, recall: 0, f1: 0 });
});

test("tags of entities are told from other labels of words", () => {
  expect(areEntityTags(["O", "B-PER", "I-PER"])).toBe(true);
  expect(areEntityTags(["NOUN", "VERB"])).toBe(false);
});
