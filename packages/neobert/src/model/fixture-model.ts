// For tests: a small config of any encoder in the table.

import { architectureOf, type ModelType } from "./architectures.js";

/** Fields of a model of 2 layers of 32 that trains with dropout, as far as its architecture has them. */
export function smallFields(modelType: ModelType, { dropout = 0.1 } = {}): Record<string, number> {
  const { fields, dropoutFields } = architectureOf({ model_type: modelType });
  const small = {
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    intermediate_size: 48,
    local_attention: 8,
    ...Object.fromEntries(dropoutFields.map((name) => [name, dropout])),
  };
  return Object.fromEntries(Object.entries(small).filter(([name]) => name in fields));
}

/** The whole config.json of such a model, for texts of `length` tokens of a vocabulary of `tokens`. */
export function smallConfig(
  modelType: ModelType,
  { tokens = 90, length = 64, range = 0.05 } = {},
): Record<string, unknown> {
  const { fields, freshFields } = architectureOf({ model_type: modelType });
  const ranges = ["initializer_range", "embedding_init_range", "decoder_init_range"];
  return {
    model_type: modelType,
    vocab_size: tokens,
    pad_token_id: 0,
    ...freshFields({ maxLength: length, pad: 0, cls: 2, sep: 3, mask: 4 }),
    ...smallFields(modelType),
    ...Object.fromEntries(ranges.filter((name) => name in fields).map((name) => [name, range])),
  };
}
