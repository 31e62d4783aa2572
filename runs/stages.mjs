// The stages that the series of runs (ablations.mjs, compare.mjs) share: vocabularies, token shards and pretraining. Each
// leaves a folder, and what is finished is used again by the next call.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Progress, prepareData, pretrain, trainTokenizer } from "neobert/train";
import { parse } from "yaml";

export const readYaml = (path) => parse(readFileSync(path, "utf8"));
export const say = (line) => console.log(line);
export const minutes = (since) => `${((performance.now() - since) / 60_000).toFixed(1)} min`;

/**
 * What a scale's file says of its texts, made: the shards by tokenizer and text, `{ TOKENIZER: { TEXT: { train, validation } } }`.
 * `local` is the path of a source.
 */
export async function makeTexts({ texts = {}, tokenizers = {} }, local, folder) {
  const sets = Object.fromEntries(
    Object.entries(texts).map(([name, set]) => [name, { ...set, sources: set.sources.map(local) }]),
  );
  const shards = {};
  for (const [name, tokenizer] of Object.entries(await makeTokenizers(tokenizers, sets, folder))) {
    shards[name] = await makeShards(sets, tokenizer, join(folder, "data", name));
  }
  return shards;
}

/** The tokenizer folders of a series, by name. `sets` are sources by name, `tokenizers` options of `trainTokenizer`. */
async function makeTokenizers(tokenizers, sets, folder) {
  const made = {};
  for (const [name, { texts, ...options }] of Object.entries(tokenizers)) {
    const out = join(folder, "tokenizers", name);
    made[name] = out;
    if (existsSync(join(out, "tokenizer.json"))) continue;
    const sources = texts.flatMap((text) => sets[text].sources);
    const { vocabSize } = await trainTokenizer({ ...options, sources, out });
    say(`tokenizer ${name}: ${vocabSize} tokens`);
  }
  return made;
}

/** Shards of each set of texts: `{ NAME: { train: FOLDER, validation: FOLDER } }`. A set names its column if not "text". */
async function makeShards(sets, tokenizer, folder) {
  const made = {};
  for (const [name, { sources, column, validation }] of Object.entries(sets)) {
    const out = join(folder, name);
    const options = { sources, tokenizer, out, validation: { fraction: validation } };
    const prepared = await prepareData(column === undefined ? options : { ...options, column });
    const tokens = [prepared.train, prepared.validation].map((split) => split.tokens.toLocaleString("en-US"));
    if (prepared.status !== "unchanged") say(`data ${out}: ${tokens[0]} tokens to train on, ${tokens[1]} held out`);
    made[name] = { train: prepared.train.folder, validation: prepared.validation.folder };
  }
  return made;
}

/** Pretrains as a run's config says, or goes on with it; returns the model's folder. */
export async function pretrainOnce(name, config) {
  const model = join(config.out, "model");
  if (existsSync(model)) return model;
  const since = performance.now();
  const progress = new Progress({ steps: config.steps });
  const { tokensSeen, trainingSeconds } = await pretrain(config, {
    resume: true,
    onStep: (state) => progress.update(state),
  });
  progress.end();
  const rate = Math.round(tokensSeen / trainingSeconds).toLocaleString("en-US");
  say(`pretrained ${name}: ${tokensSeen.toLocaleString("en-US")} tokens at ${rate}/s in ${minutes(since)}`);
  return model;
}
