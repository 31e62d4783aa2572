// Which model and tokenizer a run starts from, as far as that can be said without libtorch.

import { preparedTokenizer } from "../data/index.js";
import { modelFolder } from "../files/run-folder.js";
import type { Tokenizer } from "../tokenizer/index.js";
import type { RunConfig } from "./config.js";

/** The config.json of a model that starts from nothing: the run's fields over what its tokenizer and data say. */
export function freshModelConfig({ model, maxLength }: RunConfig, { vocabSize, specialIds }: Tokenizer) {
  const { from: _, ...fields } = model;
  // The released model's epsilon; the published class's default is another.
  return {
    model_type: "neobert",
    vocab_size: vocabSize,
    pad_token_id: specialIds.pad ?? 0,
    max_length: maxLength,
    norm_eps: 1e-5,
    ...fields,
  };
}

/** Where the run's tokenizer lies: in its checkpoint, where it was told, in the model it starts from, or by its data. */
export function tokenizerFolder(config: RunConfig, checkpoint: string | undefined): string {
  if (checkpoint !== undefined) return checkpoint;
  if (config.tokenizer !== undefined) return config.tokenizer;
  if (config.model.from !== undefined) return modelFolder(config.model.from);
  return preparedTokenizer(config.data.train[0]!.path);
}
