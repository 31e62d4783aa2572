// Tokenizers in folders as Hugging Face lays them out: tokenizer.json, else vocab.txt; tokenizer_config.json and
// special_tokens_map.json beside it. What is saved loads in transformers' AutoTokenizer and in Rust's tokenizers.

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { bertTokenizerJSON } from "./bert-json.js";
import { type SpecialTokens, Tokenizer, usualSpecialTokens } from "./tokenizer.js";

const names = ["pad", "unk", "cls", "sep", "mask"] as const;

/** The tokenizer of a folder, or of a tokenizer.json or vocab.txt. In a folder tokenizer.json comes first.
 * Throws where there is none, or it is not of a supported kind. */
export function loadTokenizer(folderOrFile: string): Tokenizer {
  const file = findFile(folderOrFile);
  const folder = dirname(file);
  const config = readObject(join(folder, "tokenizer_config.json"));
  const specialTokens = namedTokens({ ...readObject(join(folder, "special_tokens_map.json")), ...config });
  // transformers writes about 1e30 where a model sets no limit.
  const limit = Number(config.model_max_length);
  const options = { specialTokens, modelMaxLength: limit > 0 && limit < 1e9 ? limit : undefined };
  if (file.endsWith(".txt")) {
    const tokens = readFileSync(file, "utf8").split(/\r?\n/);
    if (tokens.at(-1) === "") tokens.pop();
    const json = bertTokenizerJSON({
      tokens,
      lowercase: config.do_lower_case !== false,
      stripAccents: typeof config.strip_accents === "boolean" ? config.strip_accents : null,
      handleChineseChars: config.tokenize_chinese_chars !== false,
      specialTokens: { ...usualSpecialTokens, ...specialTokens },
    });
    return Tokenizer.fromJSON(json, options);
  }
  try {
    return Tokenizer.fromJSON(JSON.parse(readFileSync(file, "utf8")), options);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Writes tokenizer.json, tokenizer_config.json, special_tokens_map.json and vocab.txt into `folder`, made if need
 * be. `modelMaxLength` (tokens) replaces the tokenizer's own. */
export function saveTokenizer(tokenizer: Tokenizer, folder: string, options: { modelMaxLength?: number } = {}): void {
  const json = tokenizer.toJSON();
  const modelMaxLength = options.modelMaxLength ?? tokenizer.modelMaxLength;
  const specialTokens = Object.fromEntries(
    names
      .filter((name) => tokenizer.specialIds[name] !== undefined)
      .map((name) => [`${name}_token`, tokenizer.specialTokens[name]]),
  );
  const config = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(modelMaxLength === undefined ? {} : { model_max_length: modelMaxLength }),
    model_input_names: ["input_ids", "attention_mask"],
    clean_up_tokenization_spaces: true,
    do_lower_case: json.normalizer.lowercase,
    strip_accents: json.normalizer.strip_accents,
    tokenize_chinese_chars: json.normalizer.handle_chinese_chars,
    ...specialTokens,
  };
  mkdirSync(folder, { recursive: true });
  const write = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
  write("tokenizer.json", json);
  write("tokenizer_config.json", config);
  write("special_tokens_map.json", specialTokens);
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(json.model.vocab)) tokens[id] = token;
  // A vocab.txt cannot say that an id has no token.
  if (Object.keys(tokens).length === tokens.length) writeFileSync(join(folder, "vocab.txt"), `${tokens.join("\n")}\n`);
}

function findFile(folderOrFile: string): string {
  if (existsSync(folderOrFile) && statSync(folderOrFile).isFile()) return folderOrFile;
  const found = ["tokenizer.json", "vocab.txt"].map((name) => join(folderOrFile, name)).find(existsSync);
  if (found) return found;
  throw new Error(
    `loadTokenizer: expected tokenizer.json or vocab.txt, got neither in ${folderOrFile}\n` +
      "Make one with `neobert tokenizer train`, or copy those files of a published BERT model there.",
  );
}

function readObject(file: string): Record<string, unknown> {
  if (!existsSync(file)) return {};
  try {
    return Object(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    throw new Error(`${file}: expected JSON, got ${(error as Error).message}\nMend or delete the file.`, {
      cause: error,
    });
  }
}

/** The special tokens that a config names, as a string or as an object with `content`. */
function namedTokens(config: Record<string, unknown>): SpecialTokens {
  const tokens: SpecialTokens = {};
  for (const name of names) {
    const value = config[`${name}_token`];
    const content = typeof value === "object" && value !== null && "content" in value ? value.content : value;
    if (typeof content === "string") tokens[name] = content;
  }
  return tokens;
}
