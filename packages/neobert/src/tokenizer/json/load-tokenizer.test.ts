// Tokenizer folders: what is saved is what is loaded, and the hash is one for the same tokens.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { loadTokenizer, saveTokenizer, Tokenizer } from "../index.js";
import { sha256 } from "../sha256.js";
import { robertaSpecialTokens, usualSpecialTokens } from "../tokenizer.js";
import { bertTokenizerJSON } from "./bert-json.js";
import { robertaTokenizerJSON } from "./roberta-json.js";

const tokens = [...Object.values(usualSpecialTokens), "é", "e", "##e", "E"];
const llama3 = fileURLToPath(new URL("../../../../../test/golden/tokenizers/llama3-split.json.gz", import.meta.url));
const folder = () => mkdtempSync(join(tmpdir(), "tokenizer-"));

test("a saved tokenizer loads as it was, from tokenizer.json and from vocab.txt", () => {
  const out = folder();
  const tokenizer = Tokenizer.fromJSON(
    bertTokenizerJSON({ tokens, lowercase: false, specialTokens: usualSpecialTokens }),
    { modelMaxLength: 128 },
  );
  saveTokenizer(tokenizer, out);
  expect(readdirSync(out).sort()).toEqual([
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
  ]);
  for (const path of [out, join(out, "tokenizer.json"), join(out, "vocab.txt")]) {
    const loaded = loadTokenizer(path);
    expect(loaded.toJSON()).toEqual(tokenizer.toJSON());
    expect(loaded.hash).toBe(tokenizer.hash);
    expect(loaded.modelMaxLength).toBe(128);
    expect(loaded.specialIds).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
  }
});

test("the config decides lower case, accents and the names of special tokens beside a vocab.txt", () => {
  const out = folder();
  writeFileSync(join(out, "vocab.txt"), "<pad>\r\n<unk>\r\n<s>\r\n</s>\r\né\r\ne\r\n");
  writeFileSync(join(out, "tokenizer_config.json"), '{ "do_lower_case": true, "strip_accents": false }');
  const names = { pad_token: "<pad>", unk_token: { content: "<unk>" }, cls_token: "<s>", sep_token: "</s>" };
  writeFileSync(join(out, "special_tokens_map.json"), JSON.stringify(names));
  const tokenizer = loadTokenizer(out);
  expect(tokenizer.encode("É x").tokens).toEqual(["<s>", "é", "<unk>", "</s>"]);
  expect(tokenizer.specialIds).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: undefined });
});

test("bos and eos of a language model's tokenizer are its cls and sep unless it names those, and are saved as all four", () => {
  const { tokenizer: json } = JSON.parse(gunzipSync(readFileSync(llama3)).toString());
  const out = folder();
  writeFileSync(join(out, "tokenizer.json"), JSON.stringify(json));
  const [bos, eos] = ["<|begin_of_text|>", "<|end_of_text|>"];
  const names = { bos_token: bos, eos_token: { content: eos }, pad_token: "<|pad|>", mask_token: "<|mask|>" };
  writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify(names));
  const ids = { bos: 0, eos: 1, cls: 0, sep: 1, pad: 2, mask: 3, unk: undefined };
  const tokenizer = loadTokenizer(out);
  expect(tokenizer.specialIds).toEqual(ids);
  const saved = folder();
  saveTokenizer(tokenizer, saved);
  const config = JSON.parse(readFileSync(join(saved, "tokenizer_config.json"), "utf8"));
  expect(config).toMatchObject({ bos_token: bos, eos_token: eos, cls_token: bos, sep_token: eos });
  expect(loadTokenizer(saved).specialIds).toEqual(ids);
  writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify({ ...names, cls_token: "<|mask|>" }));
  expect(loadTokenizer(out).specialIds).toEqual({ ...ids, cls: 3 });
});

test("the hash changes with the vocabulary and not with padding", () => {
  const json = bertTokenizerJSON({ tokens, specialTokens: usualSpecialTokens });
  const padding = { strategy: "BatchLongest", pad_id: 0, pad_type_id: 0, pad_token: "[PAD]" };
  const { hash } = Tokenizer.fromJSON(json);
  expect(Tokenizer.fromJSON({ ...json, padding }).hash).toBe(hash);
  const more = bertTokenizerJSON({ tokens: [...tokens, "f"], specialTokens: usualSpecialTokens });
  expect(Tokenizer.fromJSON(more).hash).not.toBe(hash);
});

test("sha256 equals node:crypto's at every length around a block", () => {
  for (let length = 0; length < 200; length++) {
    const text = "aé🙂".repeat(length).slice(0, length).toWellFormed();
    expect(sha256(text)).toBe(createHash("sha256").update(text).digest("hex"));
  }
});

test("what is missing or broken is named with the way out", () => {
  const out = folder();
  expect(() => loadTokenizer(out)).toThrow(
    /expected tokenizer.json, vocab.txt or vocab.json, got none of them in .*\nMake one with/,
  );
  writeFileSync(join(out, "vocab.txt"), "a\nb\n");
  expect(() => loadTokenizer(out)).toThrow(/without \[UNK\], \[CLS\], \[SEP\]\nAdd them/);
  writeFileSync(join(out, "tokenizer.json"), "{");
  expect(() => loadTokenizer(out)).toThrow(/tokenizer\.json: .*JSON/);
  expect(readFileSync(join(out, "tokenizer.json"), "utf8")).toBe("{");
});

test("tokenizer_config.json decides where is cut and padded, and the prefix space, before tokenizer.json; what it lacks changes nothing", () => {
  const out = folder();
  const vocab = Object.fromEntries(
    ["<s>", "</s>", "<pad>", "a", "b", "\u0120", "\u0120a"].map((token, id) => [token, id]),
  );
  const json = robertaTokenizerJSON({ vocab, merges: [["\u0120", "a"]], specialTokens: robertaSpecialTokens });
  const write = (config: object) => {
    writeFileSync(join(out, "tokenizer.json"), JSON.stringify(json));
    writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify(config));
    return loadTokenizer(out);
  };
  const ids = (tokenizer: Tokenizer) => [
    ...tokenizer.encode("abba", { maxLength: 5, truncation: "longestFirst" }).ids,
    ...tokenizer.encode("b", { maxLength: 5, padding: "maxLength" }).ids,
  ];
  expect(ids(write({}))).toEqual([0, 3, 4, 4, 1, 0, 4, 1, 2, 2]);
  const left = write({ truncation_side: "left", padding_side: "left", add_prefix_space: true });
  expect(ids(left)).toEqual([0, 4, 4, 3, 1, 2, 0, 5, 4, 1]);
  expect([...left.encode("ab").ids]).toEqual([0, 6, 4, 1]);
  saveTokenizer(left, out);
  expect(ids(loadTokenizer(out))).toEqual(ids(left));
  expect(() => write({ truncation_side: "middle" })).toThrow(
    'expected truncation_side to be left or right, got "middle"',
  );
});

test("an added token with the id of another is refused by name", () => {
  const out = folder();
  writeFileSync(join(out, "vocab.txt"), `${tokens.join("\n")}\n`);
  writeFileSync(join(out, "added_tokens.json"), JSON.stringify({ new: 2 ** 31 }));
  expect(() => loadTokenizer(out)).toThrow(/<=2147483647, got 2147483648/);
  writeFileSync(join(out, "added_tokens.json"), JSON.stringify({ new: 5 }));
  expect(() => loadTokenizer(out)).toThrow(
    /vocab.txt: expected a free id for the added token "new", got 5, which is "é"'s/,
  );
});

test("tokens named as what every object has keep their ids through every file, encoding and decoding", () => {
  const names = ["__proto__", "constructor", "toString"];
  const wordPiece = folder();
  const pieces = [...Object.values(usualSpecialTokens), "a", ...names.map((name) => `##${name}`), ...names];
  writeFileSync(join(wordPiece, "vocab.txt"), `${pieces.join("\n")}\n`);
  writeFileSync(join(wordPiece, "tokenizer_config.json"), '{ "do_lower_case": false, "cls_token": "__proto__" }');
  writeFileSync(join(wordPiece, "added_tokens.json"), '{ "hasOwnProperty": 12, "valueOf": 13 }');
  const added = folder();
  writeFileSync(join(added, "vocab.txt"), `${[...Object.values(usualSpecialTokens), "a"].join("\n")}\n`);
  writeFileSync(join(added, "added_tokens.json"), '{ "__proto__": 6, "constructor": 7 }');
  const bpe = folder();
  const letters = [...new Set(names.join(""))];
  // Each name is merged letter by letter.
  const merges = names.flatMap((name) => Array.from(name.slice(1), (letter, i) => `${name.slice(0, i + 1)} ${letter}`));
  const tokensOfBpe = new Set(["<s>", "</s>", ...letters, ...merges.map((merge) => merge.replace(" ", ""))]);
  const entries = [...tokensOfBpe].map((token, id) => `${JSON.stringify(token)}: ${id}`);
  writeFileSync(join(bpe, "vocab.json"), `{ ${entries.join(", ")} }`);
  writeFileSync(join(bpe, "merges.txt"), `${merges.join("\n")}\n`);
  const idOf = (name: string) => [...tokensOfBpe].indexOf(name);
  const expected = [
    { from: wordPiece, ids: [9, 9, 11, 12, 13, 3], all: "__proto__ __proto__ toString hasOwnProperty valueOf [SEP]" },
    { from: added, ids: [2, 5, 6, 7, 3], all: "[CLS] a __proto__ constructor [SEP]" },
    { from: bpe, ids: [0, idOf("toString"), 1], all: "<s>toString</s>" },
  ];
  const texts = ["__proto__ toString hasOwnProperty valueOf", "a __proto__ constructor", "toString"];
  for (const [i, { from, ids, all }] of expected.entries()) {
    const out = folder();
    saveTokenizer(loadTokenizer(from), out);
    for (const loaded of [loadTokenizer(from), loadTokenizer(out), loadTokenizer(join(out, "tokenizer.json"))]) {
      expect([...loaded.encode(texts[i]!).ids]).toEqual(ids);
      expect(loaded.decode(ids, { skipSpecialTokens: false })).toBe(all);
    }
  }
  const loaded = loadTokenizer(bpe);
  for (const name of names.slice(1)) expect([...loaded.encodeIds(name)]).toEqual([idOf(name)]);
  for (const name of [...names, "hasOwnProperty"])
    expect(loaded.tokenToId(name)).toBe(tokensOfBpe.has(name) ? idOf(name) : undefined);
});

test.each([
  ["a list", "[]", "expected an object of tokens and ids, got []"],
  ["a fraction", '{ "a": 0, "b": 1.5 }', "b: expected int, got 1.5"],
  ["a negative id", '{ "a": -1 }', "a: "],
  ["an id that is a text", '{ "a": "0" }', 'a: expected number, got "0"'],
  ["an id of more than 31 bits", '{ "a": 2147483648 }', "a: expected number to be <=2147483647, got 2147483648"],
  ["no id", '{ "__proto__": null }', "__proto__: expected number, got null"],
])("a vocab.json with %s is named with the token and the way out", (_, vocab, complaint) => {
  const out = folder();
  writeFileSync(join(out, "vocab.json"), vocab);
  writeFileSync(join(out, "merges.txt"), "");
  expect(() => loadTokenizer(out)).toThrow(`${join(out, "vocab.json")}: ${complaint}`);
  expect(() => loadTokenizer(out)).toThrow(/\nCopy the file of the published model again\.$/);
});

test.each([
  ["additional_special_tokens", ["e E"]],
  ["additional_special_tokens", [{ content: "e E" }]],
  ["extra_special_tokens", ["e E"]],
  ["extra_special_tokens", { image_token: "e E" }],
  ["extra_special_tokens", { image_token: { content: "e E" } }],
])("a special token of %s is one, whatever form it has", (key, value) => {
  const out = folder();
  writeFileSync(join(out, "vocab.txt"), `${[...tokens, "e E"].join("\n")}\n`);
  expect(loadTokenizer(out).encode("é e E e").tokens.slice(1, -1)).toEqual(["e", "e", "e", "e"]);
  writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify({ [key]: value }));
  expect(loadTokenizer(out).encode("é e E e").tokens.slice(1, -1)).toEqual(["e", "e E", "e"]);
});

// The ids are transformers 4.57's.
test("the class and the form of tokenizer.json decide what tokenizer_config.json says over it, as in transformers", () => {
  const out = folder();
  const json = bertTokenizerJSON({ tokens: [...tokens, "É"], lowercase: true, specialTokens: usualSpecialTokens });
  const ids = (config: object, normalizer: unknown = json.normalizer) => {
    writeFileSync(join(out, "tokenizer.json"), JSON.stringify({ ...json, normalizer }));
    writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify({ do_lower_case: false, ...config }));
    return [...loadTokenizer(out).encodeIds("É")];
  };
  const [cased, plain] = [tokens.length, tokens.indexOf("e")];
  expect(ids({ tokenizer_class: "BertTokenizer" })).toEqual([cased]);
  expect(ids({})).toEqual([cased]);
  expect(ids({ tokenizer_class: "PreTrainedTokenizerFast" })).toEqual([plain]);
  expect(ids({ tokenizer_class: "TokenizersBackend" })).toEqual([plain]);
  expect(ids({}, { type: "Sequence", normalizers: [json.normalizer] })).toEqual([plain]);
});

test("a class that is no name is none", () => {
  const out = folder();
  writeFileSync(join(out, "vocab.txt"), `${tokens.join("\n")}\n`);
  writeFileSync(join(out, "tokenizer_config.json"), '{ "tokenizer_class": { "toString": "x" } }');
  expect(loadTokenizer(out).givesSegments).toBe(true);
});

test("segments are given as model_input_names says, else as the class does", () => {
  const out = folder();
  writeFileSync(join(out, "vocab.txt"), `${tokens.join("\n")}\n`);
  const given = (config: object) => {
    writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify(config));
    return loadTokenizer(out).givesSegments;
  };
  expect(given({})).toBe(true);
  expect(given({ tokenizer_class: "BertTokenizer" })).toBe(true);
  expect(given({ tokenizer_class: "DistilBertTokenizer" })).toBe(false);
  const inputNames = ["input_ids", "token_type_ids", "attention_mask"];
  expect(given({ tokenizer_class: "DistilBertTokenizerFast", model_input_names: inputNames })).toBe(true);
  expect(given({ tokenizer_class: "BertTokenizer", model_input_names: ["input_ids", "attention_mask"] })).toBe(false);
  const saved = folder();
  const names = (segments: boolean) => {
    saveTokenizer(loadTokenizer(join(out, "vocab.txt")), saved, { segments });
    return JSON.parse(readFileSync(join(saved, "tokenizer_config.json"), "utf8")).model_input_names;
  };
  writeFileSync(join(out, "tokenizer_config.json"), "{}");
  expect(names(true)).toEqual(inputNames);
  expect(names(false)).toEqual(["input_ids", "attention_mask"]);
  writeFileSync(join(out, "tokenizer_config.json"), '{ "model_input_names": ["input_ids"] }');
  expect(names(true)).toEqual(["input_ids", "attention_mask"]);
});

test("special_tokens_map.json names the special tokens where the config does not list them, and tokens are special once named so", () => {
  const out = folder();
  const json = bertTokenizerJSON({ tokens, specialTokens: usualSpecialTokens });
  const drug = { id: tokens.length, content: "<drug>", single_word: false, lstrip: false, rstrip: false };
  const added = [...json.added_tokens, { ...drug, normalized: false, special: false }];
  writeFileSync(join(out, "tokenizer.json"), JSON.stringify({ ...json, added_tokens: added }));
  const load = (config: object, map: object) => {
    writeFileSync(join(out, "tokenizer_config.json"), JSON.stringify(config));
    writeFileSync(join(out, "special_tokens_map.json"), JSON.stringify(map));
    return loadTokenizer(out);
  };
  const decoder = { "0": { content: "[PAD]", special: true } };
  const config = { mask_token: "[MASK]" };
  expect(load(config, { mask_token: "[UNK]" }).specialIds.mask).toBe(1);
  expect(load({ ...config, added_tokens_decoder: decoder }, { mask_token: "[UNK]" }).specialIds.mask).toBe(4);
  const ids = [tokens.length, tokens.indexOf("e")];
  expect(load(config, {}).decode(ids)).toBe("<drug> e");
  expect(load(config, { additional_special_tokens: ["<drug>"] }).decode(ids)).toBe("e");
  // What a named token takes beside it counts where no other file describes the token.
  const mask = { content: "[MASK]", lstrip: true, rstrip: false, normalized: false, single_word: false };
  const takes = () => loadTokenizer(out).encode("e [MASK]").offsets[4];
  load({ mask_token: mask }, {});
  expect(takes()).toBe(2);
  load({ mask_token: mask, added_tokens_decoder: decoder }, {});
  expect(takes()).toBe(1);
  writeFileSync(join(out, "vocab.txt"), `${tokens.join("\n")}\n`);
  rmSync(join(out, "tokenizer.json"));
  load({ mask_token: mask }, {});
  expect(takes()).toBe(1);
});
