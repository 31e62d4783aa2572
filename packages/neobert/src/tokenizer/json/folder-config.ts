// A tokenizer.json with what the files beside it say over it, as transformers 4 has it: the head of load-tokenizer.ts gives
// the order. A token that the vocabulary has keeps its id, whatever the files say; a new one has the id they give.

import { isObject, shown } from "../../files/checked.js";
import type { SpecialTokens } from "../tokenizer.js";
import { type AddedToken, parseTokenizerJSON, type TokenizerJSON } from "./schema.js";

type Fields = Readonly<Record<string, unknown>>;

interface FolderConfig {
  /** tokenizer_config.json, special_tokens_map.json and added_tokens.json, empty where absent. */
  config: Fields;
  map: Fields;
  listed: Fields;
  /** The first two in their order. */
  named: Fields;
  specialTokens: SpecialTokens;
  /** Whether the tokenizer.json is made here, of a vocabulary, and knows nothing of its tokens but their names. */
  isMade: boolean;
}

/** Throws where the tokenizer.json is malformed, or a file gives a new token an id that another token has. */
export function withConfig(raw: unknown, files: FolderConfig): TokenizerJSON {
  const json = parseTokenizerJSON(raw);
  const { config } = files;
  const isGeneric = /^(PreTrainedTokenizerFast|TokenizersBackend)$/.test(className(config)); // of transformers 4 and 5
  // As transformers has it, what stands in a Sequence is not changed.
  const typeOf = (part: string) => (raw as Record<string, { type?: unknown } | null | undefined>)[part]?.type;
  const isBert = typeOf("normalizer") === "BertNormalizer" && !isGeneric;
  const cased = isBert ? withCase(json, config) : json;
  const spaced = typeOf("pre_tokenizer") === "ByteLevel" ? withPrefixSpace(cased, config, isGeneric) : cased;
  return withAddedTokens(spaced, files);
}

/** The tokenizer's class in Python; empty where none is named. */
export function className({ tokenizer_class: name }: Fields): string {
  return typeof name === "string" ? name : "";
}

/** BERT's normalizer with the config's case, accents and Chinese characters. */
function withCase(json: TokenizerJSON, config: Fields): TokenizerJSON {
  const { normalizer } = json;
  const { do_lower_case: lowercase, strip_accents: accents, tokenize_chinese_chars: chinese } = config;
  return {
    ...json,
    normalizer: {
      ...normalizer,
      ...(typeof lowercase === "boolean" && { lowercase }),
      ...((typeof accents === "boolean" || accents === null) && { strip_accents: accents }),
      ...(typeof chinese === "boolean" && { handle_chinese_chars: chinese }),
    },
  } as TokenizerJSON;
}

/** The pre-tokenizer ByteLevel, and for RoBERTa's own classes what trims the offsets, with the config's prefix space. */
function withPrefixSpace(json: TokenizerJSON, config: Fields, isGeneric: boolean): TokenizerJSON {
  const { add_prefix_space } = config;
  if (typeof add_prefix_space !== "boolean") return json;
  const { post_processor: last } = json;
  const isRoberta = !isGeneric && !/^GPT2/.test(className(config));
  return {
    ...json,
    pre_tokenizer: { ...json.pre_tokenizer, add_prefix_space },
    ...(isRoberta &&
      (last?.type === "RobertaProcessing" || last?.type === "ByteLevel") && {
        post_processor: { ...last, add_prefix_space },
      }),
  } as TokenizerJSON;
}

function withAddedTokens(json: TokenizerJSON, files: FolderConfig): TokenizerJSON {
  const { config, map, listed, named, specialTokens, isMade } = files;
  const decoder = isObject(config.added_tokens_decoder) ? config.added_tokens_decoder : undefined;
  // A list, or by names of a model's own (transformers 4.47): `extra_special_tokens: { image_token: "<image>" }`.
  const { extra_special_tokens: extra } = config;
  const additional = [config, decoder ? {} : map].flatMap((file) => contents(file.additional_special_tokens));
  additional.push(...contents(isObject(extra) ? Object.values(extra) : extra));
  const special = new Set([...additional, ...Object.values(specialTokens)]);
  const tokens = new Map(json.added_tokens.map((token) => [token.content, token]));
  const idOf = (content: string): number | undefined =>
    Object.hasOwn(json.model.vocab, content) ? json.model.vocab[content] : tokens.get(content)?.id;
  const owners = new Map(Object.entries(json.model.vocab).map(([token, id]) => [id, token]));
  for (const { id, content } of json.added_tokens) owners.set(id, content);

  const add = (given: unknown, content: string, flags: Partial<AddedToken>) => {
    const id = idOf(content) ?? (typeof given === "object" ? Number.NaN : Number(given));
    const owner = owners.get(id) ?? content;
    if (content === "" || !Number.isSafeInteger(id) || id < 0 || owner !== content) {
      throw new Error(
        `expected a free id for the added token ${shown(content)}, got ${shown(given)}, which is ${shown(owner)}'s\n` +
          "Correct added_tokens.json or added_tokens_decoder in tokenizer_config.json.",
      );
    }
    owners.set(id, content);
    const usual = { single_word: false, lstrip: false, rstrip: false, normalized: !flags.special };
    const special = tokens.get(content)?.special || flags.special || false; // once special, always
    tokens.set(content, { ...usual, ...flags, special, id, content });
  };
  if (decoder) {
    for (const [id, token] of Object.entries(decoder)) {
      const [content] = contents([token]);
      if (content !== undefined) add(id, content, flagsOf(token));
    }
  } else {
    const byId = Object.entries(listed).sort(([, a], [, b]) =>
      typeof a === "number" && typeof b === "number" ? a - b : 0,
    );
    for (const [content, id] of byId) if (!tokens.has(content)) add(id, content, { special: special.has(content) });
  }
  const own = isMade ? [] : json.added_tokens.map(({ content }) => content);
  const described = new Set(decoder ? contents(Object.values(decoder)) : [...own, ...Object.keys(listed)]);
  for (const [key, token] of Object.entries(named)) {
    if (!key.endsWith("_token") || !isObject(token) || typeof token.content !== "string") continue;
    const known = tokens.get(token.content);
    if (known && !described.has(known.content)) tokens.set(known.content, { ...known, ...flagsOf(token) });
  }
  for (const content of special) {
    const known = tokens.get(content);
    if (known) tokens.set(content, { ...known, special: true });
    const isNew = !known;
    if (isNew && (additional.includes(content) || idOf(content) !== undefined)) {
      const next = [...owners.keys()].reduce((most, id) => Math.max(most, id), -1) + 1;
      add(next, content, { special: true });
    }
  }
  return { ...json, added_tokens: [...tokens.values()] };
}

/** The texts of tokens that are strings or objects with `content`. */
function contents(tokens: unknown): string[] {
  const list = Array.isArray(tokens) ? tokens : [];
  return list
    .map((token) => (isObject(token) ? token.content : token))
    .filter((content) => typeof content === "string");
}

function flagsOf(token: unknown): Partial<AddedToken> {
  const names = ["single_word", "lstrip", "rstrip", "normalized", "special"] as const;
  const given = names.filter((name) => isObject(token) && typeof token[name] === "boolean");
  return Object.fromEntries(given.map((name) => [name, (token as AddedToken)[name]]));
}
