// The paper's ablations, M0 to M10 (NeoBERT, figure 1): pretrains each run of runs/ablations, fine-tunes it on GLUE with
// several seeds, and leaves OUT/ablations.json, a figure with the spread of the seeds and a table. What is finished is
// kept: the same command goes on after a stop.
//
//   node runs/ablations.mjs --scale mini --data FOLDER            for two cores
//   node runs/ablations.mjs --scale full --glue FOLDER            as published; the data as the heads of the files say
//
//   --only m0,m1    these runs       --seeds 3   seeds of fine-tuning     --out FOLDER   default out/ablations/SCALE
//   --part i/n      every n-th run alone, on as many machines and without a launcher; the same call without it makes the figure of all
//   --texts         vocabularies and shards alone: to be made before parts are begun
//   --docs          the figure and the table into docs/                   --limit 4000   examples of a GLUE task
//   key=value       options of every pretraining, as `neobert pretrain` takes them

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ablationFigure } from "neobert/report";
import { everyNth, finetuneGlue, heldOutScores, loadRunConfig, readPart } from "neobert/train";
import { difference, machine, signed, table, writeSection } from "./results.mjs";
import { chainOf, scaledOptions } from "./scale.mjs";
import { makeTexts, minutes, pretrainOnce, readYaml, say } from "./stages.mjs";

/** What each run changes, and whether it was tried only: the next one then follows the run before it. */
const series = {
  m0: { change: "BERT with pre-LayerNorm, without NSP" },
  m1: { change: "RoPE, SwiGLU, RMSNorm" },
  m2: { change: "web text instead of books and Wikipedia" },
  m3: { change: "byte-level BPE instead of WordPiece", branch: true },
  m4: { change: "AdamW, cosine decay" },
  m5: { change: "20 % masked, always by [MASK]" },
  m6: { change: "packed rows, attention across texts", branch: true },
  m7: { change: "twice the parameters, wider" },
  m8: { change: "as many parameters, deeper" },
  m9: { change: "larger batches, longer texts" },
  m10: { change: "larger fine-tuning grid" },
};

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: "string", default: "mini" },
    data: { type: "string", default: "../shared/data" },
    glue: { type: "string" },
    out: { type: "string" },
    only: { type: "string" },
    seeds: { type: "string", default: "3" },
    limit: { type: "string" },
    part: { type: "string" },
    texts: { type: "boolean", default: false },
    docs: { type: "boolean", default: false },
  },
});
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const start = performance.now();
const scale = readYaml(`runs/ablations/${flags.scale}.yaml`);
const out = flags.out ?? `out/ablations/${flags.scale}`;
const only = flags.only?.split(",") ?? Object.keys(series);
const unknown = only.filter((id) => !(id in series));
if (unknown.length > 0) throw new Error(`--only: expected runs of ${Object.keys(series)}, got ${unknown}`);
const fileOf = (id) => `runs/ablations/${id}.yaml`;
const chain = (id) => chainOf("runs/ablations", id);

// 1. Vocabularies and token shards, where the scale has texts of its own.
const shards = await makeTexts(scale, (file) => join(flags.data, file), out);
if (flags.texts) process.exit(0);

/** Losses on held-out text, on the same masks in every run with the same tokenizer. */
function heldOut(id, model) {
  const kept = join(dirname(model), "held-out.json");
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8"));
  const { targets, maxLength, ...folders } = scale.heldOut;
  const tokenizer = chain(id).reduce((found, part) => scale.runs[part]?.data?.tokenizer ?? found, undefined);
  const texts = tokenizer === undefined ? { text: folders } : shards[tokenizer];
  const byText = {};
  for (const [name, { train, validation }] of Object.entries(texts)) {
    const scores = heldOutScores({ model, train, validation, maxLength, targets });
    byText[name] = { loss: scores.model.loss, unigram: scores.unigram.loss };
  }
  const losses = Object.values(byText).map(({ loss }) => loss);
  const found = { loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length, byText };
  writeFileSync(kept, JSON.stringify(found));
  return found;
}

// 2. Each run: pretraining, held-out loss, GLUE.
const runs = [];
let versions = {};
const ownOf = (id) => (id === "m10" ? "m9" : id); // M10 is M9 with another fine-tuning
const part = flags.part === undefined ? undefined : readPart(flags.part);
const pretrained = everyNth([...new Set(only.map(ownOf))], part);
for (const id of only.filter((id) => pretrained.includes(ownOf(id)))) {
  const own = ownOf(id);
  const overrides = [...scaledOptions(scale, chain(own), shards), `out=${join(out, own)}`, ...positionals];
  const model = await pretrainOnce(own, loadRunConfig(fileOf(own), overrides));
  const { grid, largerGrid, ...settings } = scale.glue;
  const data = flags.glue ?? (existsSync(join(flags.data, "glue")) ? join(flags.data, "glue") : undefined);
  const since = performance.now();
  const { summary } = await finetuneGlue({
    ...settings,
    ...(data !== undefined && { data }),
    ...(flags.limit !== undefined && { limit: Number(flags.limit) }),
    model,
    out: join(out, id, "glue"),
    grid: id === "m10" ? largerGrid : grid,
    seeds: Number(flags.seeds),
  });
  versions = summary.versions;
  runs.push(resultOf(id, summary, heldOut(own, model)));
  const { mean, std } = runs.at(-1);
  say(`${id}: GLUE ${(100 * mean).toFixed(1)} ± ${(100 * std).toFixed(1)} in ${minutes(since)}`);
  if (part === undefined) save();
}
const made = part === undefined ? "ablations.json, ablations.svg, ablations.md" : `part ${flags.part}`;
say(`${out}/${made}: ${minutes(start)} in all`);

/** A run as ablations.json has it: each seed's scores and their average, and the averages' mean and deviation. */
function resultOf(id, { tasks }, heldOut) {
  const { change, branch = false } = series[id];
  const [first] = Object.values(tasks);
  const seeds = first.seeds.map(({ seed }, place) => {
    const scores = Object.entries(tasks).map(([task, { seeds }]) => [task, seeds[place].main]);
    const average = scores.reduce((sum, [, score]) => sum + score, 0) / scores.length;
    return { seed, tasks: Object.fromEntries(scores), average };
  });
  const averages = seeds.map(({ average }) => average);
  const mean = averages.reduce((sum, value) => sum + value, 0) / averages.length;
  const squares = averages.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const std = averages.length < 2 ? 0 : Math.sqrt(squares / (averages.length - 1));
  return { id, change, branch, seeds, mean, std, heldOut };
}

function save() {
  const found = { scale: flags.scale, versions, runs };
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "ablations.json"), `${JSON.stringify(found, null, 2)}\n`);
  const text = `${markdown(found)}\n${machine(versions)}\n`;
  writeFileSync(join(out, "ablations.md"), text);
  const figure = ablationFigure(found);
  writeFileSync(join(out, "ablations.svg"), figure);
  if (!flags.docs) return;
  writeFileSync(`docs/ablations-${flags.scale}.svg`, figure);
  writeSection("docs/ablations.md", flags.scale, text);
}

function markdown({ runs }) {
  const percent = (value) => (100 * value).toFixed(1);
  const tasks = Object.keys(runs[0].seeds[0].tasks);
  const texts = Object.keys(runs[0].heldOut.byText);
  const meanOf = ({ seeds }, task) => seeds.reduce((sum, seed) => sum + seed.tasks[task], 0) / seeds.length;
  const rows = runs.map((run) => {
    const { id, change, branch, mean, std, heldOut } = run;
    const before = runs.find((other) => other.id === chain(id).at(-2));
    const { points, isBeyondNoise } = before ? difference(before, run) : {};
    return [
      ...[`${id.toUpperCase()}${branch ? " (not kept)" : ""}`, change, `${percent(mean)} ± ${percent(std)}`],
      ...(points === undefined ? ["", ""] : [signed(points), isBeyondNoise ? "yes" : "no"]),
      ...tasks.map((task) => percent(meanOf(run, task))),
      ...texts.map((text) => heldOut.byText[text].loss.toFixed(2)),
    ];
  });
  const losses = texts.map((text) => `loss, ${text}`);
  return table(["run", "change", "GLUE average", "difference", "beyond noise", ...tasks, ...losses], rows);
}
