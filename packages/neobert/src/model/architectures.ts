// The plain table from a config's `model_type` to the file that says all about that encoder; a variant of a paper is a
// field of its config, never an entry here.

import type { Architecture, Head } from "./architecture.js";
import { type BertConfig, bert } from "./bert.js";
import { type ModernBertConfig, modernBert } from "./modernbert.js";
import { type NeoBERTConfig, neobert } from "./neobert.js";
import { type NomicBertConfig, nomicBert } from "./nomicbert.js";
import { type RobertaConfig, roberta } from "./roberta.js";

/** The config of any architecture in the table. */
export type ModelConfig = NeoBERTConfig | BertConfig | RobertaConfig | NomicBertConfig | ModernBertConfig;

export const architectures: Record<string, Architecture<ModelConfig>> = {
  neobert,
  bert,
  roberta,
  nomic_bert: nomicBert,
  modernbert: modernBert,
};

/** The entry for the `model_type` of a config.json; throws naming the known ones. */
export function architectureOf(config: unknown): Architecture<ModelConfig> {
  const modelType = (config as { model_type?: unknown } | null)?.model_type;
  const architecture = typeof modelType === "string" ? architectures[modelType] : undefined;
  if (architecture) return architecture;
  throw new Error(
    `config.json: expected model_type to be one of ${Object.keys(architectures).join(", ")}, got ${JSON.stringify(modelType)}`,
  );
}

/** The head that `architectures` in a config.json names; the bare encoder where it names none that is known. */
export function headOf(config: ModelConfig, { classNames, otherClassNames = {} }: Architecture<ModelConfig>): Head {
  const heads = Object.keys(classNames) as Head[];
  for (const name of config.architectures ?? []) {
    const head = heads.find((head) => classNames[head] === name) ?? otherClassNames[name];
    if (head) return head;
  }
  return "none";
}
