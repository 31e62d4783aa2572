// tokenizer.json files that cannot be used are refused, naming the place and the way out.

import { expect, test } from "vitest";
import { Tokenizer } from "../index.js";
import { usualSpecialTokens } from "../tokenizer.js";
import { bertTokenizerJSON } from "./bert-json.js";

const json = bertTokenizerJSON({
  tokens: [...Object.values(usualSpecialTokens), "a", "##b"],
  specialTokens: usualSpecialTokens,
});

test.each([
  ["nothing", null, "expected an object with a model"],
  [
    "a model that is not built",
    { ...json, model: { type: "Unigram" } },
    'expected a model of type WordPiece or BPE, got "Unigram"',
  ],
  ["an unnamed BPE model with WordPiece's parts", { ...json, model: { vocab: {}, merges: [] } }, "expected a BPE tok"],
  ["a normalizer that is not built", { ...json, normalizer: { type: "Precompiled" } }, /normalizer.*"Precompiled"/],
  ["Metaspace", { ...json, pre_tokenizer: { type: "Metaspace" } }, /pre_tokenizer.*"Metaspace"/],
  ["a model named as what every object has", { ...json, model: { type: "constructor" } }, 'got "constructor"'],
  ["a negative id", { ...json, model: { ...json.model, vocab: { "[UNK]": -1 } } }, /model\.vocab\.\[UNK\]: .*got -1/],
  [
    "an id of more than 31 bits",
    { ...json, model: { ...json.model, vocab: { ...json.model.vocab, a: 2 ** 31 } } },
    /model\.vocab\.a: .*<=2147483647, got 2147483648/,
  ],
  [
    "an unknown token outside the vocabulary",
    { ...json, model: { ...json.model, unk_token: "<unk>" } },
    "unk_token <unk>",
  ],
  [
    "a template with a token it does not list",
    { ...json, post_processor: { ...json.post_processor, special_tokens: {} } },
    "expected post_processor.special_tokens to list [CLS]",
  ],
])("%s is refused with a way out", (_, malformed, message) => {
  expect(() => Tokenizer.fromJSON(malformed)).toThrow(message);
  expect(() => Tokenizer.fromJSON(malformed)).toThrow(/\n(Load|Set|Add) .+\.$/);
});

test("a Sequence of one, an unnamed model and BertProcessing are what they stand for", () => {
  const { type, ...model } = json.model;
  expect(type).toBe("WordPiece");
  const variant = {
    ...json,
    model,
    normalizer: { type: "Sequence", normalizers: [json.normalizer] },
    pre_tokenizer: { type: "Sequence", pretokenizers: [json.pre_tokenizer] },
    post_processor: { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] },
  };
  const options = { pair: "a" };
  expect(Tokenizer.fromJSON(variant).encode("ab", options)).toEqual(Tokenizer.fromJSON(json).encode("ab", options));
});

test.each(["constructor", "__proto__", "toString"])(
  "%s is a token like others, and none where the vocabulary lacks it",
  (name) => {
    const specialTokens = { ...usualSpecialTokens, mask: name };
    const usual = [...Object.values(usualSpecialTokens), "a"];
    const without = bertTokenizerJSON({ tokens: usual, specialTokens });
    expect(Tokenizer.fromJSON(without, { specialTokens }).specialIds.mask).toBeUndefined();
    const json = bertTokenizerJSON({ tokens: [...usual, name], specialTokens });
    const tokenizer = Tokenizer.fromJSON(JSON.parse(JSON.stringify(json)), { specialTokens });
    expect([...tokenizer.encodeIds(`a ${name}`)]).toEqual([5, 6]);
    expect(tokenizer.specialIds.mask).toBe(6);
    expect(Object.keys(tokenizer.toJSON().model.vocab)).toEqual([...usual, name]);
    const template = { type: "TemplateProcessing", single: [{ SpecialToken: { id: name, type_id: 0 } }], pair: [] };
    expect(() => Tokenizer.fromJSON({ ...json, post_processor: { ...template, special_tokens: {} } })).toThrow(
      `expected post_processor.special_tokens to list ${name}`,
    );
  },
);
