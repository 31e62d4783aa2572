// The five encoders under the same conditions, as the paper's table 4 (NeoBERT, section 5.2): the same contrastive
// fine-tuning, the same tasks, one table. At mini scale they are pretrained here, on the same number of tokens. Leaves
// OUT/compare.json and OUT/comparison.md; what is finished is kept, so the same command goes on after a stop.
//
//   node runs/compare.mjs --scale mini --data FOLDER     about 20 minutes on two cores
//   node runs/compare.mjs --scale full                   the published models, all of MTEB
//
//   --only BERT,NeoBERT   these models      --out FOLDER   default out/compare/SCALE      --docs   the table into docs/
//   --steps 20 --tasks STSBenchmark,BIOSSES   steps of every training, and some of the tasks, to try it

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Encoder } from "neobert";
import { evaluateMteb } from "neobert/evaluate";
import { comparisonTable } from "neobert/report";
import { finetuneContrastive, Progress, parseContrastiveConfig, parseRunConfig } from "neobert/train";
import { stringify } from "yaml";
import { machine, table, writeSection } from "./results.mjs";
import { makeTexts, minutes, pretrainOnce, readYaml, say } from "./stages.mjs";

const { values: flags } = parseArgs({
  options: {
    scale: { type: "string", default: "mini" },
    data: { type: "string", default: "../shared/data" },
    out: { type: "string" },
    only: { type: "string" },
    steps: { type: "string" },
    tasks: { type: "string" },
    docs: { type: "boolean", default: false },
  },
});
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const start = performance.now();
const file = "runs/compare.yaml";
const scale = readYaml(file)[flags.scale];
const out = flags.out ?? `out/compare/${flags.scale}`;
const names = flags.only?.split(",") ?? Object.keys(scale.models);
const unknown = names.filter((name) => !(name in scale.models));
if (unknown.length > 0) throw new Error(`--only: expected models of ${Object.keys(scale.models)}, got ${unknown}`);
const overrides = flags.steps === undefined ? [] : [`steps=${flags.steps}`];
const local = (path) => (path.startsWith("hf://") ? path : join(flags.data, path));

// 1. Vocabularies and token shards, where the models are pretrained here.
const shards = await makeTexts(scale, local, out);

// 2. Each model: pretraining or the published one, contrastive fine-tuning, the tasks.
const models = [];
let versions;
for (const name of names) {
  const since = performance.now();
  const from = scale.models[name].from ?? (await pretrained(name));
  const { model, record } = await finetuned(name, from);
  versions ??= { neobert: record.neobert, libtorch: record.libtorch, node: process.version };
  models.push(await scored(name, model));
  save();
  say(`${name}: mean ${(100 * models.at(-1).mean).toFixed(1)} in ${minutes(since)}`);
}
say(`${out}/compare.json, comparison.md: ${minutes(start)} in all`);

function pretrained(name) {
  const { tokenizer, pretrain } = scale.models[name];
  const train = Object.entries(scale.weights).map(([text, weight]) => ({
    path: shards[tokenizer][text].train,
    weight,
  }));
  const model = { ...scale.pretrain.model, ...pretrain.model };
  const run = { ...scale.pretrain, ...pretrain, model, data: { train }, out: join(out, "pretrained", name) };
  return pretrainOnce(name, parseRunConfig(stringify(run), { file, overrides }));
}

async function finetuned(name, from) {
  const { data, ...settings } = scale.finetune;
  const train = Array.isArray(data.train) ? data.train.map(localSet) : data.train;
  const run = { ...settings, data: { ...data, train }, model: from, out: join(out, "finetuned", name) };
  const config = parseContrastiveConfig(stringify(run), { file, overrides });
  const progress = new Progress({ steps: config.steps });
  const result = await finetuneContrastive(config, { resume: true, onStep: (state) => progress.update(state) });
  progress.end();
  return result;
}

function localSet({ path, retrieval, ...set }) {
  if (path !== undefined) return { ...set, path: local(path) };
  return { ...set, retrieval: Object.fromEntries(Object.entries(retrieval).map(([key, part]) => [key, local(part)])) };
}

/** A model as compare.json has it. The mean of a category is over its tasks, that of the model over all tasks. */
async function scored(name, folder) {
  const encoder = await Encoder.load(folder);
  try {
    const { outcomes } = await evaluateMteb({
      ...scale.evaluate,
      ...(scale.evaluate.data !== undefined && { dataRoot: flags.data }),
      ...(flags.tasks !== undefined && { tasks: flags.tasks.split(",") }),
      model: encoder,
      about: { name },
      out: join(out, "mteb"),
      onTask: ({ task, score, error }) => say(`  ${task.name}: ${error ? error.message : (100 * score).toFixed(1)}`),
    });
    const failed = outcomes.filter(({ error }) => error);
    if (failed.length > 0) throw new Error(`${name}: no score of ${failed.map(({ task }) => task.name).join(", ")}`);
    const whole = outcomes.filter(({ task }) => !outcomes.some((other) => other.task.subtasks?.includes(task)));
    const types = [...new Set(whole.map(({ task }) => task.type))];
    const categories = types.map((type) => [type, meanScore(whole.filter(({ task }) => task.type === type))]);
    return {
      name,
      parameters: parametersOf(folder),
      categories: Object.fromEntries(categories),
      tasks: Object.fromEntries(whole.map(({ task, score }) => [task.name, score])),
      mean: meanScore(whole),
    };
  } finally {
    await encoder.dispose();
  }
}

function parametersOf(folder) {
  const info = execFileSync(process.execPath, ["packages/neobert/bin/neobert.js", "info", folder, "--json"]);
  return JSON.parse(info).parameters;
}

function meanScore(outcomes) {
  return outcomes.reduce((sum, { score }) => sum + score, 0) / outcomes.length;
}

function save() {
  const found = { scale: flags.scale, versions, models };
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "compare.json"), `${JSON.stringify(found, null, 2)}\n`);
  const text = `${comparisonTable(found)}\n${byTask(found)}\n${machine(versions)}\n`;
  writeFileSync(join(out, "comparison.md"), text);
  if (flags.docs) writeSection("docs/comparison.md", flags.scale, text);
}

function byTask({ models }) {
  const percent = (value) => (100 * value).toFixed(1);
  const rows = Object.keys(models[0].tasks).map((task) => [task, ...models.map(({ tasks }) => percent(tasks[task]))]);
  return table(["task", ...models.map(({ name }) => name)], rows, 1);
}
