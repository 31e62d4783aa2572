// The table of what is read: a name to its file in targets/. A target is the files of a valid folder, which of them have
// mutants, where JSON lies in those that are not .json (`structures`), and `read(folder, path)`, which gives the folder
// with a mutant at `path` to the reader and uses what it gave back.

const modules = {
  weights: ["safetensors", "weight-index"],
  tokenizers: ["wordpiece", "bpe", "tokenizer-parts"],
  models: ["neobert", "bert", "roberta", "nomicbert", "modernbert", "eurobert", "sentence-folder"],
  records: ["json-lines", "json", "csv", "tsv", "parquet", "parquet-nested", "gz", "zst", "pairs", "labelled"],
  runs: ["pretrain-file", "contrastive-file", "classify-file", "serve-file", "shards", "checkpoint"],
  results: ["npy", "mteb-results", "reports", "mteb-mapping", "dataset-card"],
};

const moduleOf = new Map(Object.entries(modules).flatMap(([module, names]) => names.map((name) => [name, module])));
export const targetNames = [...moduleOf.keys()];

/** The target of a name, made from small files in a moment. */
export async function loadTarget(name) {
  const { targets } = await import(`./targets/${moduleOf.get(name)}.mjs`);
  return await targets[name]();
}
