// Tokenizers in folders as Hugging Face lays them out: tokenizer.json, else vocab.txt (WordPiece) or vocab.json with
// merges.txt (byte-level BPE). What is saved loads in transformers' AutoTokenizer and in Rust's tokenizers. Where the files
// beside it say otherwise than tokenizer.json, the order is that of transformers 4:
//   1. tokenizer_config.json: case, accents, Chinese characters (unless its class is PreTrainedTokenizerFast), the prefix
//      space, sides of truncation and padding, whether segments are given, special tokens, added_tokens_decoder. Keys that it
//      lacks change nothing.
//   2. Without added_tokens_decoder: special_tokens_map.json, which then goes first, and added_tokens.json.
//   3. tokenizer.json.

import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { checked, isObject, shown } from "../../files/checked.js";
import { readJsonFile, readJsonObject, readTextFile } from "../../files/input-file.js";
import { robertaSpecialTokens, type SpecialTokens, Tokenizer, usualSpecialTokens } from "../tokenizer.js";
import { bertTokenizerJSON } from "./bert-json.js";
import { className, withConfig } from "./folder-config.js";
import { robertaTokenizerJSON } from "./roberta-json.js";
import { type BpeJSON, isWordPiece, type TokenizerJSON, vocabSchema, type WordPieceJSON } from "./schema.js";

const names = ["pad", "unk", "cls", "sep", "mask", "bos", "eos"] as const;

/** The tokenizer of a folder, or of a tokenizer.json, vocab.txt, or vocab.json with merges.txt beside it. In a folder
 * tokenizer.json comes first.
 * Throws where there is none, or it is not of a supported kind. */
export function loadTokenizer(folderOrFile: string): Tokenizer {
  const file = findFile(folderOrFile);
  const folder = dirname(file);
  const config = readObject(join(folder, "tokenizer_config.json"));
  const map = readObject(join(folder, "special_tokens_map.json"));
  // Where the config lists the tokens the map only says the same for older versions.
  const named = isObject(config.added_tokens_decoder) ? { ...map, ...config } : { ...config, ...map };
  const specialTokens = namedTokens(named);
  const { model_input_names: inputNames } = config;
  // transformers writes about 1e30 where a model sets no limit.
  const limit = Number(config.model_max_length);
  const options = {
    specialTokens,
    modelMaxLength: limit > 0 && limit < 1e9 ? limit : undefined,
    truncationSide: sideIn(config, "truncation_side"),
    paddingSide: sideIn(config, "padding_side"),
    givesSegments: Array.isArray(inputNames)
      ? inputNames.includes("token_type_ids")
      : !/^(DistilBert|MPNet|Roberta|GPT2|Bart|Longformer)Tokenizer/.test(className(config)),
  };
  try {
    const isMade = ["vocab.txt", "vocab.json"].includes(basename(file));
    const raw = readTokenizerJSON(file, config, specialTokens);
    const listed = readObject(join(folder, "added_tokens.json"));
    return Tokenizer.fromJSON(withConfig(raw, { config, map, named, listed, specialTokens, isMade }), options);
  } catch (error) {
    const { message } = error as Error;
    throw message.startsWith(dirname(file)) ? error : new Error(`${file}: ${message}`, { cause: error });
  }
}

function readTokenizerJSON(file: string, config: Record<string, unknown>, specialTokens: SpecialTokens): unknown {
  if (file.endsWith(".txt")) {
    return bertTokenizerJSON({
      tokens: linesOf(file),
      lowercase: config.do_lower_case !== false,
      stripAccents: typeof config.strip_accents === "boolean" ? config.strip_accents : null,
      handleChineseChars: config.tokenize_chinese_chars !== false,
      specialTokens: { ...usualSpecialTokens, ...specialTokens },
    });
  }
  const json = readJsonFile(file);
  if (basename(file) !== "vocab.json") return json;
  return robertaTokenizerJSON({
    vocab: checked(json, vocabSchema, { where: file, wayOut: "Copy the file of the published model again." }),
    merges: readMerges(join(dirname(file), "merges.txt")),
    specialTokens: { ...robertaSpecialTokens, ...specialTokens },
    addPrefixSpace: config.add_prefix_space === true,
  });
}

function linesOf(file: string): string[] {
  const lines = readTextFile(file).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** The pairs of a merges.txt, whose first line may be a version. Throws at a line that is no pair. */
function readMerges(file: string): [string, string][] {
  const merges: [string, string][] = [];
  for (const [index, line] of linesOf(file).entries()) {
    if (index === 0 && line.startsWith("#version")) continue;
    const pair = line.split(" ");
    if (pair.length !== 2 || pair.includes("")) {
      throw new Error(
        `line ${index + 1} of merges.txt: expected two tokens with a space between, got ${shown(line)}\n` +
          "Copy the file of the published model again.",
      );
    }
    merges.push(pair as [string, string]);
  }
  return merges;
}

export interface SaveOptions {
  /** In tokens; replaces the tokenizer's own. */
  modelMaxLength?: number;
  /** Whether the model beside it tells segments apart; others may not be given any in Python. Default: not told. */
  segments?: boolean;
}

/**
 * Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and vocab.txt (or vocab.json and merges.txt) into
 * `folder`, made if need be.
 */
export function saveTokenizer(tokenizer: Tokenizer, folder: string, options: SaveOptions = {}): void {
  const json = tokenizer.toJSON();
  const modelMaxLength = options.modelMaxLength ?? tokenizer.modelMaxLength;
  const named = names.filter((name) => tokenizer.specialIds[name] !== undefined);
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(modelMaxLength === undefined ? {} : { model_max_length: modelMaxLength }),
    ...(tokenizer.truncationSide === "left" && { truncation_side: "left" }),
    ...(tokenizer.paddingSide === "left" && { padding_side: "left" }),
    ...inputNamesOf(tokenizer.givesSegments && options.segments),
    ...(isWordPiece(json) ? wordPieceConfig(json) : bpeConfig(json)),
    ...Object.fromEntries(named.map((name) => [`${name}_token`, tokenizer.specialTokens[name]])),
  };
  const map = named.map((name) => [`${name}_token`, mapEntry(json, tokenizer.specialTokens[name]!)]);
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
  write("tokenizer.json", json);
  write("tokenizer_config.json", config);
  write("special_tokens_map.json", Object.fromEntries(map));
  if (isWordPiece(json)) writeVocabTxt(json, folder);
  else writeVocabAndMerges(json, folder);
}

function inputNamesOf(segments: boolean | undefined) {
  if (segments === undefined) return {};
  return { model_input_names: ["input_ids", ...(segments ? ["token_type_ids"] : []), "attention_mask"] };
}

function wordPieceConfig({ normalizer }: WordPieceJSON) {
  if (normalizer?.type !== "BertNormalizer") return { clean_up_tokenization_spaces: true };
  return {
    clean_up_tokenization_spaces: true,
    do_lower_case: normalizer.lowercase,
    strip_accents: normalizer.strip_accents,
    tokenize_chinese_chars: normalizer.handle_chinese_chars,
  };
}

function bpeConfig({ pre_tokenizer: preTokenizer }: BpeJSON) {
  const addPrefixSpace = preTokenizer?.type === "ByteLevel" ? { add_prefix_space: preTokenizer.add_prefix_space } : {};
  return { clean_up_tokenization_spaces: false, ...addPrefixSpace };
}

/** A special token's name, or all about it where it takes the spaces beside it, as RoBERTa's <mask> does. */
function mapEntry(json: TokenizerJSON, content: string) {
  const token = json.added_tokens.find((added) => added.content === content);
  if (!token?.lstrip && !token?.rstrip) return content;
  const { lstrip, rstrip, normalized, single_word } = token;
  return { content, lstrip, normalized, rstrip, single_word };
}

function writeVocabTxt(json: WordPieceJSON, folder: string): void {
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) tokens[id] = token;
  // A vocab.txt cannot say that an id has no token.
  if (Object.keys(tokens).length === tokens.length) writeFileSync(join(folder, "vocab.txt"), `${tokens.join("\n")}\n`);
}

function writeVocabAndMerges({ model }: BpeJSON, folder: string): void {
  // A merges.txt cannot hold tokens with a space in them.
  if (model.merges.some((pair) => pair.join("").includes(" "))) return;
  writeFileSync(join(folder, "vocab.json"), JSON.stringify(model.vocab));
  const lines = ["#version: 0.2", ...model.merges.map((pair) => pair.join(" "))];
  writeFileSync(join(folder, "merges.txt"), `${lines.join("\n")}\n`);
}

function findFile(folderOrFile: string): string {
  if (existsSync(folderOrFile) && statSync(folderOrFile).isFile()) return folderOrFile;
  const found = ["tokenizer.json", "vocab.json", "vocab.txt"].map((name) => join(folderOrFile, name)).find(existsSync);
  if (found) return found;
  throw new Error(
    `loadTokenizer: expected tokenizer.json, vocab.txt or vocab.json, got none of them in ${folderOrFile}\n` +
      "Make one with `neobert tokenizer train`, or copy those files of a published model there.",
  );
}

function readObject(file: string): Record<string, unknown> {
  return existsSync(file) ? readJsonObject(file) : {};
}

/**
 * The special tokens that a config names, as a string or as an object with `content`. Tokenizers of language models name the
 * tokens at a text's ends bos and eos alone: they are its cls and sep then.
 */
function namedTokens(config: Record<string, unknown>): SpecialTokens {
  const tokens: SpecialTokens = {};
  for (const name of names) {
    const value = config[`${name}_token`];
    const content = typeof value === "object" && value !== null && "content" in value ? value.content : value;
    if (typeof content === "string") tokens[name] = content;
  }
  const { bos, eos } = tokens;
  return { ...(bos !== undefined && { cls: bos }), ...(eos !== undefined && { sep: eos }), ...tokens };
}

function sideIn(config: Record<string, unknown>, key: string): "left" | "right" | undefined {
  const side = config[key];
  if (side === undefined || side === null) return undefined;
  if (side === "left" || side === "right") return side;
  throw new Error(
    `tokenizer_config.json: expected ${key} to be left or right, got ${shown(side)}\nMend or delete the key.`,
  );
}
