// Model folders: config.json of every architecture over its golden weights, and a sentence-transformers folder with all its
// files of settings.

import { labelNames } from "#neobert/encoder/labels";
import { writeSafetensors } from "#neobert/files/safetensors";
import { architectureOf } from "#neobert/model/architectures";
import { openModel } from "#neobert/model/model-folder";
import { readSentenceFolder } from "#neobert/vectors/sentence-transformers";
import { VectorHead } from "#neobert/vectors/vector-head";
import { filesIn, filesOf, goldenPath } from "../folders.mjs";

/** Opens the model and reads what is small of it; a hidden classifier's labels too. */
function readModel(folder) {
  const model = openModel(folder);
  try {
    const names = model.architecture.parameters(model.head).map(({ name }) => name);
    for (const name of names.slice(-3)) model.values(name);
    labelNames(model.architecture.config, 3);
  } finally {
    model.close();
  }
}

const model = (golden) => () => {
  const { "config.json": config, "model.safetensors": weights } = filesIn(goldenPath(golden));
  architectureOf(JSON.parse(config));
  return { files: { "config.json": config, "model.safetensors": weights }, mutate: ["config.json"], read: readModel };
};

const settings = {
  "modules.json": [
    { idx: 0, name: "0", path: "", type: "sentence_transformers.models.Transformer" },
    { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    { idx: 2, name: "2", path: "2_Dense", type: "sentence_transformers.models.Dense" },
    { idx: 3, name: "3", path: "3_Normalize", type: "sentence_transformers.models.Normalize" },
  ],
  "config_sentence_transformers.json": {
    prompts: { query: "query: ", document: "passage: " },
    default_prompt_name: "query",
    similarity_fn_name: "cosine",
  },
  "sentence_bert_config.json": { max_seq_length: 128, do_lower_case: false },
  "1_Pooling/config.json": {
    word_embedding_dimension: 4,
    pooling_mode_cls_token: true,
    pooling_mode_mean_tokens: true,
    include_prompt: true,
  },
  "2_Dense/config.json": {
    in_features: 8,
    out_features: 3,
    bias: true,
    activation_function: "torch.nn.modules.activation.Tanh",
  },
};

export const targets = {
  neobert: model("neobert/m0"),
  bert: model("bert"),
  roberta: model("roberta"),
  nomicbert: model("nomicbert"),
  modernbert: model("modernbert"),
  eurobert: model("eurobert/tied"),
  "sentence-folder"() {
    const dense = filesOf((folder) => {
      const tensors = [
        { name: "linear.weight", dtype: "F32", shape: [3, 8], data: () => new Float32Array(24) },
        { name: "linear.bias", dtype: "F32", shape: [3], data: () => new Float32Array(3) },
      ];
      writeSafetensors(`${folder}/model.safetensors`, tensors);
    });
    const files = Object.entries(settings).map(([path, json]) => [path, JSON.stringify(json)]);
    return {
      files: { ...Object.fromEntries(files), "2_Dense/model.safetensors": dense["model.safetensors"] },
      mutate: Object.keys(settings),
      read(folder) {
        const { modules, pooling, prompts, defaultPromptName } = readSentenceFolder(folder);
        const call = { asksPooling: false, skip: 0, normalize: undefined, dimensions: undefined, ranges: undefined };
        const head = new VectorHead(modules);
        head.apply(new Float32Array(12), Int32Array.of(0, 3), 4, { ...call, pooling, output: "float32" });
        return defaultPromptName && prompts[defaultPromptName]?.length;
      },
    };
  },
};
