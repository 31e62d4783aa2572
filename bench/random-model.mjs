// Models at full size with random weights, for benchmarks: a BERT of 12 layers of 768 and a NeoBERT of 28, with a published
// vocabulary. Written once.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeSafetensors } from "#neobert/files/safetensors";
import { architectureOf, initialValues, savedName } from "#neobert/model/index";

const configs = {
  bert: {
    model_type: "bert",
    hidden_size: 768,
    num_hidden_layers: 12,
    num_attention_heads: 12,
    intermediate_size: 3072,
    vocab_size: 30522,
    max_position_embeddings: 512,
    architectures: ["BertModel"],
  },
  neobert: {
    model_type: "neobert",
    hidden_size: 768,
    num_hidden_layers: 28,
    num_attention_heads: 12,
    intermediate_size: 3072,
    vocab_size: 30522,
    max_length: 4096,
    norm_eps: 1e-5,
    architectures: ["NeoBERT"],
  },
};

/** The folder of a random model of this kind, with the vocabulary of the model in `vocabulary`. */
export function writeRandomModel(kind, cache, vocabulary) {
  const folder = join(cache, kind);
  if (existsSync(folder)) return folder;
  const temporary = `${folder}.writing`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const architecture = architectureOf(configs[kind]);
  writeFileSync(join(temporary, "config.json"), JSON.stringify(configs[kind], null, 2));
  const tensors = architecture.parameters("none").map((spec) => {
    const name = savedName(spec.name, architecture, "none");
    return { name, dtype: "F32", shape: spec.shape, data: () => initialValues(spec, 1) };
  });
  writeSafetensors(join(temporary, "model.safetensors"), tensors, { format: "pt" });
  for (const name of ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"]) {
    cpSync(join(vocabulary, name), join(temporary, name));
  }
  renameSync(temporary, folder);
  return folder;
}
