// A model as the folder that Hugging Face's libraries and ours load: config.json and model.safetensors in the published
// form, tokenizer, model card; for embedders also sentence-transformers' modules. What is read may be in any form that
// we know (old tensor names, NomicBERT's Hub config, sharded or half-precision weights); what is written is one form.

import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { replaceFolder, temporaryPath } from "../files/atomic.js";
import { walkFiles } from "../files/glob.js";
import { countValues, openModel, type SavedParts, saveModel } from "../model/index.js";
import { loadTokenizer, saveTokenizer } from "../tokenizer/index.js";
import { type Modules, readModules } from "../vectors/sentence-transformers.js";
import { writeJson, writeSentenceFiles } from "./modules.js";
import { loadedByPython } from "./python.js";
import { checkTokenRows } from "./token-rows.js";

export interface HfExportOptions {
  /** Make an embedder of an encoder that is not one yet: how the vector of a text comes from those of its tokens. */
  pooling?: "cls" | "mean";
  /** With `pooling`: scale vectors to length 1. */
  normalize?: boolean;
  /** With `pooling`: longest text in tokens; the tokenizer's limit, else the model's, else 512 where neither has one. */
  maxTokens?: number;
}

export interface HfExport {
  /** Files written, by path in the folder. */
  files: string[];
  className: string;
  parameters: number;
}

const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
  "added_tokens.json",
];

/**
 * Writes the model in `source` (a folder) as a Hugging Face folder `out`, which must not be there yet; it appears whole
 * or not at all. Throws where the model cannot be read, or has modules whose weights are pickled.
 */
export function exportHf(source: string, out: string, options: HfExportOptions = {}): HfExport {
  if (existsSync(out)) {
    throw new Error(`export hf: expected a new folder, got ${out}, which exists\nDelete it, or name another.`);
  }
  const modules = readModules(source);
  if (modules && options.pooling) {
    throw new Error(
      `export hf: expected pooling only for a model without modules.json, got it for ${source}\nLeave it out: its own modules are kept.`,
    );
  }
  const encoder = modules ? join(source, modules[0]!.path) : source; // old embedders have 0_Transformer
  const isEmbedder = modules !== undefined || options.pooling !== undefined;
  const model = openModel(encoder, isEmbedder ? { head: "none" } : {});
  const temporary = temporaryPath(out);
  try {
    checkTokenRows("export hf", encoder, model.architecture.config.vocab_size);
    saveModel(temporary, model);
    copyTokenizer(encoder, temporary);
    if (modules) copyModules(source, temporary, modules);
    else if (options.pooling) writeModules(temporary, model, encoder, options);
    const parameters = countValues(model.architecture.parameters(model.head));
    const card = join(source, "README.md");
    if (existsSync(card)) copyFileSync(card, join(temporary, "README.md"));
    else writeFileSync(join(temporary, "README.md"), modelCard(basename(out), model, parameters, isEmbedder));
    const files = walkFiles(temporary);
    replaceFolder(temporary, out);
    return { files, className: model.architecture.classNames[model.head], parameters };
  } finally {
    model.close();
    rmSync(temporary, { recursive: true, force: true });
  }
}

export function copyTokenizer(source: string, out: string): void {
  for (const name of TOKENIZER_FILES) {
    if (existsSync(join(source, name))) copyFileSync(join(source, name), join(out, name));
  }
  if (existsSync(join(source, "vocab.txt")) && !existsSync(join(source, "tokenizer.json"))) {
    saveTokenizer(loadTokenizer(source), out);
  }
}

/** The modules of an embedder, the first of which, the encoder, is written at the top. */
function copyModules(source: string, out: string, modules: Modules): void {
  const [encoder, ...others] = modules;
  for (const { path } of others) {
    const folder = join(source, path);
    const files = existsSync(folder) ? readdirSync(folder) : [];
    const pickled = files.find((file) => file.endsWith(".bin"));
    if (pickled && !files.includes("model.safetensors")) {
      throw new Error(
        `${folder}: expected model.safetensors, got ${pickled}\nPickled weights can run code: convert it with Python's safetensors first.`,
      );
    }
    // A Normalize module has no files, and Python looks for its folder only if it has.
    if (files.length > 0)
      cpSync(folder, join(out, path), { recursive: true, filter: (file) => !file.endsWith(".bin") });
    else mkdirSync(join(out, path), { recursive: true });
  }
  writeJson(out, "modules.json", [{ ...encoder, path: "" }, ...others]);
  // The first was once named for its architecture: sentence_roberta_config.json and the like.
  const settings = /^(sentence_\w+_config|config_sentence_transformers)\.json$/;
  for (const folder of [source, join(source, encoder!.path)]) {
    for (const name of readdirSync(folder).filter((name) => settings.test(name))) {
      copyFileSync(join(folder, name), join(out, name));
    }
  }
}

function writeModules(out: string, model: SavedParts, source: string, options: HfExportOptions): void {
  const { pooling, normalize = false } = options;
  const limit = model.architecture.maxPositions();
  const tokenizer = existsSync(join(out, "tokenizer.json")) ? loadTokenizer(source) : undefined;
  const maxTokens = options.maxTokens ?? Math.min(tokenizer?.modelMaxLength ?? Number.POSITIVE_INFINITY, limit);
  if (Number.isFinite(maxTokens) && maxTokens > limit) {
    throw new Error(
      `export hf: expected \`maxTokens\` of at most ${limit}, the model's positions, got ${maxTokens}\nAsk for fewer, or leave it out.`,
    );
  }
  writeSentenceFiles(out, {
    hiddenSize: model.architecture.config.hidden_size,
    pooling: pooling!,
    normalize,
    includePrompt: true,
    prompts: {},
    maxTokens: Number.isFinite(maxTokens) ? maxTokens : 512,
  });
}

const tasks = {
  none: "feature-extraction",
  maskedLM: "fill-mask",
  sequenceClassification: "text-classification",
  tokenClassification: "token-classification",
  questionAnswering: "question-answering",
};

function modelCard(name: string, model: SavedParts, parameters: number, isEmbedder: boolean): string {
  const { architecture, head } = model;
  const { num_hidden_layers, hidden_size, num_attention_heads, vocab_size } = architecture.config;
  const task = isEmbedder ? "sentence-similarity" : tasks[head];
  const className = architecture.classNames[head];
  const python = isEmbedder
    ? `from sentence_transformers import SentenceTransformer\n\nvectors = SentenceTransformer("FOLDER").encode(["a text"])`
    : `from transformers import ${className}\n\nmodel = ${className}.from_pretrained("FOLDER")`;
  const example = "remoteCode" in architecture.python ? "" : `\n\n\`\`\`python\n${python}\n\`\`\``;
  return `---
library_name: ${isEmbedder ? "sentence-transformers" : "transformers"}
pipeline_tag: ${task}
tags: [${architecture.modelType}, ${task}]
---

# ${name}

${architecture.title} (${architecture.paper}), ${className}: ${parameters.toLocaleString("en-US")} parameters, ${num_hidden_layers} layers, hidden size ${hidden_size},
${num_attention_heads} heads, ${vocab_size.toLocaleString("en-US")} tokens. Weights are float32.

${loadedByPython(architecture, head)}${example}

In Node, the npm package \`neobert\` reads it by the folder's name.
`;
}
