// `neobert info MODEL`: what a model is, from its JSON files alone: a model on the Hub is not downloaded for it.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { maxTokensOf } from "../encoder/loaded-model.js";
import { walkFiles } from "../files/glob.js";
import { readJsonObject } from "../files/input-file.js";
import { openCheckpoint } from "../files/weight-files.js";
import { resolveModel } from "../hub/resolve.js";
import { countValues, headOf, readArchitecture } from "../model/index.js";
import { grouped } from "../terminal/progress-line.js";
import { readSentenceFolder } from "../vectors/sentence-transformers.js";

interface InfoFlags {
  revision?: string;
  offline?: boolean;
  json?: boolean;
}

export function infoCommand(): Command {
  return new Command("info")
    .description("Shows a model's architecture, size, longest text, pooling, prompts and files.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .option("--revision <name>", "branch, tag or commit on the Hub (default: main)")
    .option("--offline", "look in the local cache only")
    .option("--json", "print JSON")
    .action(async (model: string, { json, ...hub }: InfoFlags) => {
      const info = modelInfo(await resolveModel(model, { ...hub, files: ["*.json", "*_*/*.json"] }));
      console.log(json ? JSON.stringify(info, null, 2) : infoText(info));
    });
}

export interface ModelInfo {
  folder: string;
  architecture: string;
  head: string;
  layers: number;
  hiddenSize: number;
  vocabulary: number;
  parameters: number;
  /** As stored, or as config.json says where the weights are not here. */
  dtype: string;
  maxTokens: number | undefined;
  dimension: number;
  pooling: string[];
  modules: string[];
  prompts: Record<string, string>;
  similarity: string;
  files: { path: string; bytes: number }[];
}

/** Reads a model's folder. Throws where its files are not those of a known encoder. */
export function modelInfo(folder: string): ModelInfo {
  const sentence = readSentenceFolder(folder);
  const architecture = readArchitecture(sentence.modelFolder);
  const { config } = architecture;
  const raw = config as { dtype?: string; torch_dtype?: string };
  const head = headOf(architecture);
  const tokenizerFile = join(sentence.modelFolder, "tokenizer_config.json");
  const limit = existsSync(tokenizerFile) ? readJsonObject(tokenizerFile).model_max_length : undefined;
  const isLimit = typeof limit === "number" && limit < 1e9;
  const longest = maxTokensOf(architecture, sentence.maxTokens, isLimit ? limit : undefined);
  const { hidden_size, num_hidden_layers, vocab_size } = config;
  const dense = sentence.modules.findLast((module) => module.kind === "dense");
  return {
    folder,
    architecture: config.architectures?.[0] ?? architecture.modelType,
    head,
    layers: num_hidden_layers,
    hiddenSize: hidden_size,
    vocabulary: vocab_size,
    parameters: countValues(architecture.parameters(head)),
    dtype: storedType(sentence.modelFolder) ?? raw.dtype ?? raw.torch_dtype ?? "float32",
    maxTokens: Number.isFinite(longest) ? longest : undefined,
    dimension: dense?.outFeatures ?? hidden_size * sentence.pooling.length,
    pooling: sentence.pooling,
    modules: sentence.modules.map(({ kind }) => kind),
    prompts: sentence.prompts,
    similarity: sentence.similarity,
    files: walkFiles(folder).map((path) => ({ path, bytes: statSync(join(folder, path)).size })),
  };
}

function storedType(folder: string): string | undefined {
  const names = ["model.safetensors", "model.safetensors.index.json"];
  if (!names.some((name) => existsSync(join(folder, name)))) return undefined;
  const checkpoint = openCheckpoint(folder);
  // Whole numbers are tables such as position_ids, not parameters.
  const all = checkpoint.names().map((name) => checkpoint.info(name).dtype);
  const types = new Set(all.filter((dtype) => dtype.includes("F")));
  checkpoint.close();
  return [...types].join(", ");
}

function infoText(info: ModelInfo): string {
  const prompts = Object.entries(info.prompts).map(([name, text]) => `${name}: ${JSON.stringify(text)}`);
  const lines: [string, string][] = [
    ["architecture", `${info.architecture}, ${info.layers} layers of ${info.hiddenSize}, head: ${info.head}`],
    ["parameters", `${grouped(info.parameters)}, ${info.dtype}`],
    ["vocabulary", grouped(info.vocabulary)],
    ["max tokens", info.maxTokens === undefined ? "no limit" : grouped(info.maxTokens)],
    [
      "vector",
      `${info.dimension} dimensions: ${[info.pooling.join(" + "), ...info.modules].join(", ")}; ${info.similarity}`,
    ],
    ["prompts", prompts.join(", ") || "none"],
    ["folder", info.folder],
    ...info.files.map(({ path, bytes }): [string, string] => ["", `${grouped(bytes).padStart(15)}  ${path}`]),
  ];
  return lines.map(([name, text]) => `${name.padEnd(14)}${text}`).join("\n");
}
