import { expect, test } from "vitest";
import { bertTokenizerJSON } from "../tokenizer/json/bert-json.js";
import { Tokenizer, usualSpecialTokens } from "../tokenizer/tokenizer.js";
import { TextTokenizer } from "./tokenized.js";

test("a pair has segments only where the tokenizer gives them to a model", async () => {
  const tokens = [...Object.values(usualSpecialTokens), "a", "b"];
  const json = bertTokenizerJSON({ tokens, specialTokens: usualSpecialTokens });
  for (const givesSegments of [true, false]) {
    const texts = new TextTokenizer(Tokenizer.fromJSON(json, { givesSegments }));
    const packed = (await texts.tokenizeAll([{ text: "a", pair: "b" }], { where: "test", maxTokens: 9 })).pack([0]);
    expect([...packed.ids]).toEqual([2, 5, 3, 6, 3]);
    expect(packed.tokenTypes && [...packed.tokenTypes]).toEqual(givesSegments ? [0, 0, 0, 1, 1] : undefined);
  }
});
