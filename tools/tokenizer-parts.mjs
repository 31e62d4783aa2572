// Writes test/golden/tokenizers/parts.json.gz: what Hugging Face's Rust tokenizers (through their npm package) make of
// hard texts with each normalizer, pre-tokenizer, post-processor and decoder that BPE may have, over one small vocabulary
// trained here. Run after `npm run build`: node tools/tokenizer-parts.mjs

import { readFileSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { trainBpe } from "#neobert/tokenizer/index";
import { loadPeer, peerVersion } from "./tokenizer-peer.mjs";

const { Tokenizer } = loadPeer();
const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const plain = (await trainBpe([readme], { vocabSize: 600 })).toJSON();
const mask = plain.added_tokens.find(({ content }) => content === "<mask>");
const added_tokens = [
  ...plain.added_tokens,
  { ...mask, id: 600, content: "ÉT", lstrip: false, normalized: true, special: false },
  { ...mask, id: 601, content: "   ", lstrip: false, normalized: true, special: false },
  { ...mask, id: 602, content: "one", lstrip: false, rstrip: true, single_word: true, special: false },
];
const base = { ...plain, added_tokens };

const bytes = (add_prefix_space, use_regex = true, trim_offsets = true) => ({
  type: "ByteLevel",
  add_prefix_space,
  trim_offsets,
  use_regex,
});
const cl100k =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const split = (pattern, behavior, invert = false) => ({ type: "Split", pattern, behavior, invert });
const inTurn = (...pretokenizers) => ({ pre_tokenizer: { type: "Sequence", pretokenizers } });
const vowels = { Regex: "[aeiou]|\\s" };
const template = {
  type: "TemplateProcessing",
  single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
  pair: [
    { Sequence: { id: "B", type_id: 1 } },
    { SpecialToken: { id: "</s>", type_id: 1 } },
    { Sequence: { id: "A", type_id: 0 } },
  ],
  special_tokens: {
    "<s>": { id: "<s>", ids: [0], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [2], tokens: ["</s>"] },
  },
};

/** Characters, bytes where one is unknown, and ▁ for a space: the form of SentencePiece's models. */
const characters = {
  ...base,
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "▁" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  },
  pre_tokenizer: null,
  post_processor: null,
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
  added_tokens: [],
  model: {
    ...plain.model,
    unk_token: "<unk>",
    fuse_unk: true,
    byte_fallback: true,
    vocab: Object.fromEntries(
      [
        ...["<unk>", ..."▁abcdehlortu", "th", "the", "▁the", "▁▁"],
        ...Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`),
      ].map((token, id) => [token, id]),
    ),
    merges: [
      ["t", "h"],
      ["th", "e"],
      ["▁", "the"],
      ["▁", "▁"],
    ],
  },
};
const withoutBytes = structuredClone(characters);
withoutBytes.model.byte_fallback = false;

const variants = {
  "byte-level": {},
  "a prefix space": { pre_tokenizer: bytes(true), post_processor: bytes(true) },
  "a prefix space of RoBERTa": {
    pre_tokenizer: bytes(true),
    post_processor: { ...plain.post_processor, add_prefix_space: true },
  },
  "offsets not trimmed": { post_processor: { ...plain.post_processor, trim_offsets: false } },
  "no pattern": { pre_tokenizer: bytes(false, false) },
  "a template after ByteLevel": { post_processor: { type: "Sequence", processors: [bytes(true), template] } },
  "BERT's post-processor": { post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 0] } },
  "Llama's pattern": inTurn(split({ Regex: cl100k }, "Isolated"), bytes(false, false)),
  "words as tokens": { model: { ...plain.model, ignore_merges: true } },
  digits: inTurn({ type: "Digits", individual_digits: true }, bytes(true)),
  "runs of digits": inTurn({ type: "Digits", individual_digits: false }, bytes(false)),
  whitespace: inTurn({ type: "Whitespace" }, bytes(true)),
  "whitespace alone": inTurn({ type: "WhitespaceSplit" }, bytes(false)),
  characters,
  "characters without bytes": withoutBytes,
};
for (const behavior of ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]) {
  variants[`split ${behavior}`] = inTurn(split(vowels, behavior), bytes(false));
  variants[`split ${behavior}, inverted`] = inTurn(split({ String: " " }, behavior, true), bytes(true));
}
const steps = {
  ...Object.fromEntries(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"].map((type) => [type, { type }])),
  "strip left": { type: "Strip", strip_left: true, strip_right: false },
  "replace a pattern": { type: "Replace", pattern: { Regex: " {2,}|é" }, content: "xyz" },
};
for (const [name, normalizer] of Object.entries(steps)) {
  // NOTE: an added token that Strip leaves nothing of makes theirs cut at every character.
  variants[name] = { normalizer, ...(name.startsWith("strip") && { added_tokens: plain.added_tokens }) };
}
variants["three normalizers"] = {
  normalizer: { type: "Sequence", normalizers: [steps.NFD, steps.Lowercase, steps.StripAccents] },
};

const texts = [
  ...["", " ", "a", "  a  b ", "\n\n a\t\tb\r\n", "the model's tokens don't, we'LL", "tokens 12345 ½ Ⅷ x²"],
  ...[
    "e\u0301a q\u0307\u0323 \u1ea5\u0316\u031b",
    "ﬁne ①②",
    "한국 \u1112\u1161\u11ab",
    "日本 中文",
    "İß Σας ÀÉ",
    "\u0316\u0301e",
  ],
  ...[
    "🙂👩‍👩‍👧 🇷🇴",
    "a\u00a0b\u3000c\u0085d\u2028e\ufefff",
    "<mask> the <mask>x <s></s>",
    "the   ÉT ét   x",
    "one one  onely",
  ],
  ...[
    "\u0000\u200d\ufffd",
    "x".repeat(70),
    "hello hello".repeat(3),
    "अनुच्छेद שָׁלוֹם",
    "\u0345\u{1d165}\u{1d15e} \u0345",
    "▁the <0x41>",
  ],
];

const cases = [];
for (const [name, variant] of Object.entries(variants)) {
  const json = { ...base, ...variant };
  const tokenizer = Tokenizer.fromString(JSON.stringify(json));
  const results = [];
  // NOTE: 0.23 decodes a normalized added token as its normalized content; 0.22, and we, as its content.
  const isDecoded = !variant.normalizer || variant.added_tokens;
  for (const [i, text] of texts.entries()) {
    const encoding = await tokenizer.encode(text);
    const ids = encoding.getIds();
    const pair = await tokenizer.encode(text, texts[(i + 5) % texts.length]);
    results.push({
      ids,
      offsets: encoding.getOffsets(),
      tokens: encoding.getTokens(),
      ...(isDecoded && { decoded: await tokenizer.decode(ids, true) }),
      pair: { ids: pair.getIds(), offsets: pair.getOffsets(), typeIds: pair.getTypeIds() },
    });
  }
  cases.push({ name, variant, results });
}
const rule = `tokenizers ${peerVersion} of npm: encode, encode with the text five further on, decode without special tokens`;
const file = new URL("../test/golden/tokenizers/parts.json.gz", import.meta.url);
writeFileSync(file, gzipSync(JSON.stringify({ rule, base, texts, cases }), { level: 9 }));
console.log(`${cases.length} variants, ${texts.length} texts`);
