// A sentence-transformers folder as data: which folder holds the encoder, how token states become a vector (Pooling,
// Dense, Normalize in the order of modules.json), prompts, longest text, similarity. A folder without modules.json is
// a plain encoder: the mean over the tokens, not normalised. Kinds of modules that are not known are refused by name.

import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { checked, namesTo, shortened, shown } from "../files/checked.js";
import { readJsonFile } from "../files/input-file.js";
import { checkPooling, type PoolingMode, poolingModes } from "./pooling.js";
import { type SimilarityFunction, similarityFunctions } from "./similarity.js";

const modulesSchema = z.array(z.looseObject({ path: z.string().max(1000), type: z.string() })).min(1);

/** A null is a field that is not there. */
const orAbsent = <Schema extends z.ZodType>(schema: Schema) =>
  schema.nullish().transform((value) => value ?? undefined);

const denseSchema = z.looseObject({
  in_features: z.int().positive(),
  out_features: z.int().positive(),
  bias: z
    .boolean()
    .nullish()
    .transform((bias) => bias ?? true),
  activation_function: orAbsent(z.string()).transform((name) => name ?? "torch.nn.modules.activation.Tanh"),
  module_input_name: orAbsent(z.string()),
  module_output_name: orAbsent(z.string()),
});

const poolingSchema = z.looseObject({
  pooling_mode: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  include_prompt: z.unknown().optional(),
});

const settingsSchema = z.looseObject({
  prompts: orAbsent(namesTo(z.string(), "an object of names and prompts")),
  default_prompt_name: z.unknown().optional(),
  similarity_fn_name: z.unknown().optional(),
});

export type Modules = z.output<typeof modulesSchema>;

export type Activation = "identity" | "tanh" | "relu" | "sigmoid" | "silu";

/** What follows the pooling. A Dense's weights lie in `folder`. */
export type VectorModule =
  | { kind: "dense"; folder: string; inFeatures: number; outFeatures: number; bias: boolean; activation: Activation }
  | { kind: "normalize" };

export interface SentenceFolder {
  /** The folder with config.json, tokenizer and weights. */
  modelFolder: string;
  pooling: PoolingMode[];
  /** Whether the tokens of a prompt are pooled too. */
  includePrompt: boolean;
  modules: VectorModule[];
  maxTokens: number | undefined;
  lowercase: boolean;
  prompts: Record<string, string>;
  defaultPromptName: string | undefined;
  similarity: SimilarityFunction;
}

const activations: Record<string, Activation> = {
  Identity: "identity",
  Tanh: "tanh",
  ReLU: "relu",
  Sigmoid: "sigmoid",
  SiLU: "silu",
};

/** Reads the folder's JSON files. Throws where one is malformed or asks for something that is not known here. */
export function readSentenceFolder(folder: string): SentenceFolder {
  const settingsFile = join(folder, "config_sentence_transformers.json");
  const settings = checked(readJson(settingsFile) ?? {}, settingsSchema, {
    where: settingsFile,
    wayOut: "Download it again.",
  });
  const plain: SentenceFolder = {
    modelFolder: folder,
    pooling: ["mean"],
    includePrompt: true,
    modules: [],
    maxTokens: undefined,
    lowercase: false,
    prompts: settings.prompts ?? {},
    defaultPromptName: typeof settings.default_prompt_name === "string" ? settings.default_prompt_name : undefined,
    similarity: similarityOf(settings.similarity_fn_name, folder),
  };
  const file = join(folder, "modules.json");
  const modules = readModules(folder)?.map(({ type, path }) => ({
    type: type.split(".").at(-1)!,
    folder: join(folder, path),
  }));
  if (!modules) return plain;
  const [transformer, pooling, ...rest] = modules;
  if (transformer?.type !== "Transformer" || pooling?.type !== "Pooling") {
    const got = modules.map(({ type }) => type).join(", ");
    throw new Error(`${file}: expected a Transformer and its Pooling, then Dense and Normalize, got ${shortened(got)}`);
  }
  return {
    ...plain,
    modelFolder: transformer.folder,
    ...readTransformer(transformer.folder, file),
    ...readPooling(join(pooling.folder, "config.json")),
    modules: rest.map((module) => {
      if (module.type === "Normalize") return { kind: "normalize" };
      if (module.type === "Dense") return readDense(module.folder);
      throw new Error(
        `${file}: expected modules Transformer, Pooling, Dense and Normalize, got ${shortened(module.type)}`,
      );
    }),
  };
}

/** The modules of modules.json, the encoder first, each with a path inside the folder; undefined where there is none. */
export function readModules(folder: string): Modules | undefined {
  const file = join(folder, "modules.json");
  const list: unknown = readJson(file);
  if (list === undefined) return undefined;
  const modules = checked(list, modulesSchema, { where: file, wayOut: "Download it again." });
  const outside = modules.find(({ path }) => /^[/\\]|^[a-z]:|(^|[/\\])\.\.([/\\]|$)/i.test(path));
  if (outside)
    throw new Error(`${file}: expected paths inside the folder, got ${shortened(outside.path)}\nDo not trust it.`);
  return modules;
}

function readTransformer(folder: string, modulesFile: string) {
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Error(`${modulesFile}: expected the folder ${folder}, got none\nDownload the folder whole.`);
  }
  // The name was once the architecture's: sentence_roberta_config.json and the like.
  const name = readdirSync(folder).find((name) => /^sentence_\w+_config\.json$/.test(name));
  const config = (name === undefined ? undefined : readJson(join(folder, name))) ?? {};
  return {
    maxTokens: typeof config.max_seq_length === "number" ? config.max_seq_length : undefined,
    lowercase: config.do_lower_case === true,
  };
}

/**
 * What is done to a text before it is tokenized, in encoding and in training: the prompt goes before it, and letters become
 * small ones each by itself, as tokenizers does it (no other sigma at the end of a word). Nothing is stripped.
 */
export function preparation(prompt: string, lowercase: boolean): (text: string) => string {
  return (text) => (lowercase ? (prompt + text).replaceAll("Σ", "σ").toLowerCase() : prompt + text);
}

const flags: Record<PoolingMode, string> = {
  cls: "pooling_mode_cls_token",
  max: "pooling_mode_max_tokens",
  mean: "pooling_mode_mean_tokens",
  mean_sqrt_len_tokens: "pooling_mode_mean_sqrt_len_tokens",
  weightedmean: "pooling_mode_weightedmean_tokens",
  lasttoken: "pooling_mode_lasttoken",
};

function readPooling(file: string): Pick<SentenceFolder, "pooling" | "includePrompt"> {
  const json = readJson(file);
  if (json === undefined)
    throw new Error(`${file}: expected the pooling's settings, got no such file\nDownload the folder whole.`);
  const config = checked(json, poolingSchema, { where: file, wayOut: "Download it again." });
  // Older files have a flag a mode, newer ones the modes' names.
  const named = config.pooling_mode === undefined ? undefined : [config.pooling_mode].flat();
  const flagged = poolingModes.filter((mode) => config[flags[mode]] === true);
  const modes = named ?? (flagged.length > 0 ? flagged : ["mean"]);
  const single = modes.flatMap((mode) => mode.split("+") as PoolingMode[]);
  return { pooling: checkPooling(file, single), includePrompt: config.include_prompt !== false };
}

function readDense(folder: string): VectorModule {
  const file = join(folder, "config.json");
  const config = checked(readJson(file) ?? {}, denseSchema, { where: file, wayOut: "Download it again." });
  const { in_features: inFeatures, out_features: outFeatures, bias, activation_function } = config;
  const name = activation_function.split(".").at(-1)!;
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined;
  if (!activation) {
    throw new Error(
      `${file}: expected activation_function ${Object.keys(activations).join(", ")}, got ${shortened(name)}`,
    );
  }
  const input = config.module_input_name ?? "sentence_embedding";
  const output = config.module_output_name ?? input;
  if (input !== "sentence_embedding" || output !== "sentence_embedding") {
    throw new Error(
      `${file}: expected a Dense from sentence_embedding to it, got one from ${shortened(input)} to ${shortened(output)}`,
    );
  }
  return { kind: "dense", folder, inFeatures, outFeatures, bias, activation };
}

function similarityOf(name: unknown, folder: string): SimilarityFunction {
  if (name === undefined || name === null) return "cosine";
  const known = similarityFunctions.find((known) => known === name);
  if (known) return known;
  throw new Error(
    `${join(folder, "config_sentence_transformers.json")}: expected similarity_fn_name ${similarityFunctions.join(", ")}, ` +
      `got ${shown(name)}`,
  );
}

/** What a JSON file holds whose fields are looked at one by one; undefined where there is none. */
// biome-ignore lint/suspicious/noExplicitAny: files of others.
function readJson(file: string): any {
  return existsSync(file) ? readJsonFile(file) : undefined;
}
