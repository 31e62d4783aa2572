// Small random models of the encoders with a vocabulary of their own, for the checks that run our exports elsewhere.
import { mkdirSync } from "node:fs";
import { Generator, noGrad, randn, tidy } from "@neobert/torch";
import { TorchModel } from "#neobert/model/torch/torch-model";
import { saveTokenizer, trainWordPiece } from "#neobert/tokenizer/index";
import { documents } from "./text.mjs";

const sizes = { hidden_size: 96, num_hidden_layers: 4, num_attention_heads: 6 };
const models = {
  neobert: {
    ...{ intermediate_size: 240, max_length: 256, norm_eps: 1e-5 },
    ...{ decoder_init_range: 0.2, embedding_init_range: 1 },
  },
  bert: { intermediate_size: 160, max_position_embeddings: 256, initializer_range: 0.1 },
  roberta: {
    ...{ intermediate_size: 160, max_position_embeddings: 258, type_vocab_size: 1, initializer_range: 0.1 },
    pad_token_id: 1,
  },
  nomic_bert: { intermediate_size: 256, initializer_range: 0.1 },
  modernbert: { intermediate_size: 160, local_attention: 16, pad_token_id: 0, initializer_range: 0.1 },
  eurobert: {
    ...{ intermediate_size: 160, num_key_value_heads: 2, max_position_embeddings: 256, initializer_range: 0.1 },
    ...{ pad_token_id: 0, rope_parameters: { rope_theta: 250000 } },
  },
};

const trained = documents(30).map((text) => text.slice(0, 300));
export const texts = [...trained.slice(0, 4), "Ünïcödé, naïve — don't"];
export const tokenizer = await trainWordPiece(trained, { vocabSize: 400 });

/** A config for each encoder. */
export const configs = Object.entries(models).map(([model_type, fields]) => {
  return { model_type, ...sizes, ...fields, vocab_size: tokenizer.vocabSize };
});

/** A model whose norms and biases differ from 1 and 0, so that none can be left out. */
export function randomModel(config, head, seed) {
  const model = TorchModel.create(config, { head, seed });
  const generator = new Generator(seed);
  for (const { name, role, shape } of model.specs) {
    if (role === "vector") tidy(() => noGrad(() => model.weight(name).add_(randn(shape, { generator }).mul(0.2))));
  }
  return model;
}

/** Writes model and vocabulary into a folder. */
export function saveWithTokenizer(model, folder) {
  mkdirSync(folder, { recursive: true });
  model.save(folder);
  saveTokenizer(tokenizer, folder);
}

export const cosine = (a, b) =>
  a.reduce((sum, value, i) => sum + value * b[i], 0) / (Math.hypot(...a) * Math.hypot(...b));
