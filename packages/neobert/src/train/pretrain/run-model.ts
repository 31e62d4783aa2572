// Which model and tokenizer a run starts from, as far as that can be said without libtorch.

import { preparedTokenizer } from "../../data/index.js";
import { modelFolder } from "../../files/run-folder.js";
import type { Tokenizer } from "../../tokenizer/index.js";
import type { RunConfig } from "./pretrain-config.js";

/** The config.json of a model that starts from nothing: the run's fields over what its tokenizer and data say. */
export function freshModelConfig({ model, maxLength }: RunConfig, { vocabSize, specialIds }: Tokenizer): object {
  const { from: _, model_type = "neobert", ...fields } = model;
  const pad = specialIds.pad ?? 0;
  const common = { model_type, vocab_size: vocabSize, pad_token_id: pad };
  // What the released models have where the published class's default is another, and its ids where Python reads them.
  const released: Record<string, object> = {
    neobert: { max_length: maxLength, norm_eps: 1e-5 },
    roberta: {
      max_position_embeddings: maxLength + pad + 1,
      type_vocab_size: 1,
      layer_norm_eps: 1e-5,
      bos_token_id: specialIds.cls,
      eos_token_id: specialIds.sep,
    },
    modernbert: {
      max_position_embeddings: maxLength,
      bos_token_id: specialIds.cls,
      eos_token_id: specialIds.sep,
      cls_token_id: specialIds.cls,
      sep_token_id: specialIds.sep,
    },
  };
  return { ...common, ...(released[model_type] ?? { max_position_embeddings: maxLength }), ...fields };
}

/** Where the run's tokenizer lies: in its checkpoint, where it was told, in the model it starts from, or by its data. */
export function tokenizerFolder(config: RunConfig, checkpoint: string | undefined): string {
  if (checkpoint !== undefined) return checkpoint;
  if (config.tokenizer !== undefined) return config.tokenizer;
  if (config.model.from !== undefined) return modelFolder(config.model.from);
  return preparedTokenizer(config.data.train[0]!.path);
}

const dropouts = [
  "dropout",
  "hidden_dropout_prob",
  "attention_probs_dropout_prob",
  "embedding_dropout",
  "attention_dropout",
  "mlp_dropout",
];

/** Sets the dropout of a model's encoder, whatever its architecture calls it. */
export function setDropout(config: object, probability: number): void {
  for (const key of dropouts) if (Object.hasOwn(config, key)) Object.assign(config, { [key]: probability });
}

/** Throws where texts of `maxLength` tokens are longer than the positions that a model knows. */
export function checkMaxLength(maxLength: number, limit: number): void {
  if (maxLength <= limit) return;
  throw new Error(
    `maxLength: expected at most ${limit}, the positions that the model knows, got ${maxLength}\n` +
      "Set a lower maxLength, or start a fresh model with more positions.",
  );
}
