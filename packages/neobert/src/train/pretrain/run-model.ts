// Which model and tokenizer a run starts from, as far as that can be said without libtorch.

import { preparedTokenizer } from "../../data/index.js";
import { modelFolder } from "../../files/run-folder.js";
import { pinnedFolder } from "../../hub/pinned.js";
import { architectureOf, type ModelArchitecture } from "../../model/index.js";
import type { Tokenizer } from "../../tokenizer/index.js";
import type { RunConfig } from "./pretrain-config.js";

/** The config.json of a model that starts from nothing: the run's fields over what its tokenizer and data say. */
export function freshModelConfig({ model, maxLength }: RunConfig, { vocabSize, specialIds }: Tokenizer): object {
  const { from: _, model_type = "neobert", ...fields } = model;
  const { pad = 0, cls, sep, mask } = specialIds;
  const { freshFields } = architectureOf({ model_type });
  return {
    model_type,
    vocab_size: vocabSize,
    pad_token_id: pad,
    ...freshFields({ maxLength, pad, cls, sep, mask }),
    ...fields,
  };
}

/** Where the run's tokenizer lies: in its checkpoint, where it was told, in the model it starts from, or by its data. */
export function tokenizerFolder(config: RunConfig, checkpoint: string | undefined): string {
  if (checkpoint !== undefined) return checkpoint;
  if (config.tokenizer !== undefined) return config.tokenizer;
  if (config.model.from !== undefined) return modelFolder(pinnedFolder(config.model.from));
  return preparedTokenizer(config.data.train[0]!.path);
}

/** Sets the dropout of a model's encoder, in the fields that its architecture has for it. */
export function setDropout({ config, dropoutFields }: ModelArchitecture, probability: number): void {
  for (const key of dropoutFields) Object.assign(config, { [key]: probability });
}

/** Throws where texts of `maxLength` tokens are longer than the positions that a model knows. */
export function checkMaxLength(maxLength: number, limit: number): void {
  if (maxLength <= limit) return;
  throw new Error(
    `maxLength: expected at most ${limit}, the positions that the model knows, got ${maxLength}\n` +
      "Set a lower maxLength, or start a fresh model with more positions.",
  );
}
