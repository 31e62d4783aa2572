// The sentence-transformers modules of an embedder's folder: its pooling as other programs take it, and a new embedder's files.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../files/input-file.js";
import type { Modules } from "../vectors/sentence-transformers.js";

const poolingSchema = z.looseObject({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
  /** Newer files name the mode, or several that are joined. */
  pooling_mode: z.union([z.string(), z.array(z.string())]).optional(),
});

/** How an embedder's pooling makes one vector of the tokens'; undefined where it is neither of these. */
export function poolingOf(folder: string, modules: Modules): "cls" | "mean" | undefined {
  const pooling = modules.find(({ type }) => type.endsWith(".Pooling"));
  if (!pooling) return undefined;
  const config = poolingSchema.parse(readJsonFile(join(folder, pooling.path, "config.json")));
  if (config.pooling_mode !== undefined) {
    const named = `${config.pooling_mode}`;
    return named === "cls" || named === "mean" ? named : undefined;
  }
  if (config.pooling_mode_mean_tokens) return config.pooling_mode_cls_token ? undefined : "mean";
  return config.pooling_mode_cls_token ? "cls" : undefined;
}

export interface SentenceFiles {
  hiddenSize: number;
  pooling: "cls" | "mean";
  normalize: boolean;
  /** Whether a prompt's tokens are pooled too. */
  includePrompt: boolean;
  prompts: Record<string, string>;
  maxTokens: number;
}

/** Makes an embedder of the encoder in `out`: modules.json, 1_Pooling, sentence_bert_config.json, prompts. */
export function writeSentenceFiles(out: string, files: SentenceFiles): void {
  const { hiddenSize, pooling, normalize, includePrompt, prompts, maxTokens } = files;
  const types = ["Transformer", "Pooling", ...(normalize ? ["Normalize"] : [])];
  const modules = types.map((type, idx) => {
    const path = idx === 0 ? "" : `${idx}_${type}`;
    return { idx, name: `${idx}`, path, type: `sentence_transformers.models.${type}` };
  });
  for (const { path } of modules) mkdirSync(join(out, path), { recursive: true });
  writeJson(out, "modules.json", modules);
  writeJson(out, "1_Pooling/config.json", {
    word_embedding_dimension: hiddenSize,
    pooling_mode_cls_token: pooling === "cls",
    pooling_mode_mean_tokens: pooling === "mean",
    pooling_mode_max_tokens: false,
    pooling_mode_mean_sqrt_len_tokens: false,
    pooling_mode_weightedmean_tokens: false,
    pooling_mode_lasttoken: false,
    include_prompt: includePrompt,
  });
  writeJson(out, "sentence_bert_config.json", { max_seq_length: maxTokens, do_lower_case: false });
  writeJson(out, "config_sentence_transformers.json", {
    prompts,
    default_prompt_name: null,
    similarity_fn_name: "cosine",
  });
}

export function writeJson(folder: string, name: string, value: unknown): void {
  writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
}
