// The sentence-transformers files of a new embedder.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface SentenceFiles {
  hiddenSize: number;
  pooling: "cls" | "mean";
  normalize: boolean;
  /** Whether a prompt's tokens are pooled too. */
  includePrompt: boolean;
  prompts: Record<string, string>;
  maxTokens: number;
  /** Whether texts are made lower case before they are tokenized; default false. */
  lowercase?: boolean;
}

/** Makes an embedder of the encoder in `out`: modules.json, 1_Pooling, sentence_bert_config.json, prompts. */
export function writeSentenceFiles(out: string, files: SentenceFiles): void {
  const { hiddenSize, pooling, normalize, includePrompt, prompts, maxTokens, lowercase = false } = files;
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
  writeJson(out, "sentence_bert_config.json", { max_seq_length: maxTokens, do_lower_case: lowercase });
  writeJson(out, "config_sentence_transformers.json", {
    prompts,
    default_prompt_name: null,
    similarity_fn_name: "cosine",
  });
}

export function writeJson(folder: string, name: string, value: unknown): void {
  writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
}
