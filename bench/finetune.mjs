// Contrastive fine-tuning on the same pairs of mixed length, real tokens/s: ours against sentence-transformers' model and
// MultipleNegativesRankingLoss in a plain loop, each in a process that stays, taking turns. Both tokenize, drop out, clip and
// step as in a run; sentence-transformers comes from the environment of `npm run test:peers`.
//   npm run bench -- finetune [minilm|bert ...] [--rounds=3] [--dtypes=fp32,bf16] [--pairs=64] [--steps=2] [--threads=2] [--dropout=0]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { writeRandomModel } from "./random-model.mjs";
import { startSide } from "./side.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const cache = here("../.cache/bench-encode");
const python = here("../.cache/peers/transformers-4/bin/python");
const shared = here("../../shared/data");
const { values, positionals } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    dtypes: { type: "string", default: "fp32,bf16" },
    pairs: { type: "string", default: "64" },
    steps: { type: "string", default: "2" },
    threads: { type: "string", default: "2" },
    dropout: { type: "string" },
  },
  allowPositionals: true,
});
const miniLM = await fetchMiniLM();
if (!miniLM || !existsSync(shared) || !existsSync(python)) {
  console.log("Skipped: all-MiniLM-L6-v2, ../shared/data or the environment of npm run test:peers is absent.");
  process.exit(0);
}
const models = { minilm: () => miniLM, bert: () => writeRandomModel("bert", cache, miniLM) };

/** Questions with abstracts, articles with their first sentences, premises with hypotheses: 10 to 500 tokens. */
function mixedPairs() {
  const unpacked = (path) => gunzipSync(readFileSync(`${shared}/${path}`)).toString();
  const pubmed = Object.values(JSON.parse(unpacked("pubmedqa/ori_pqal.json.gz")));
  const compression = readFileSync(`${shared}/sentence-compression/google.jsonl`, "utf8").trim().split("\n");
  const snli = unpacked("snli/test.txt.gz").trim().split("\n").slice(0, 3000);
  const pairs = [
    ...pubmed.map(({ QUESTION, CONTEXTS }) => [QUESTION, CONTEXTS.join(" ")]),
    ...compression.map((line) => JSON.parse(line)).map(({ text, summaries }) => [summaries[0], text]),
    ...snli.map((line) => line.split("\t").slice(0, 2)),
  ];
  for (let i = pairs.length - 1, state = 42; i > 0; i--) {
    state = (1103515245 * state + 12345) % 2 ** 31;
    const j = state % (i + 1);
    [pairs[i], pairs[j]] = [pairs[j], pairs[i]];
  }
  return pairs.map(([query, positive]) => ({ query, positive }));
}

mkdirSync(here("../.cache/bench-finetune"), { recursive: true });
const file = here("../.cache/bench-finetune/pairs.jsonl");
const pairs = mixedPairs();
writeFileSync(file, pairs.map((pair) => JSON.stringify(pair)).join("\n"));

const [rounds, steps] = [Number(values.rounds), Number(values.steps)];
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
console.log(
  `${cpus()[0].model}, ${values.threads} threads, ${values.pairs} pairs a step; real tokens/s, median (best) of ${rounds} rounds of ${steps} steps in turns`,
);
for (const name of positionals.length > 0 ? positionals : Object.keys(models)) {
  if (!models[name]) throw new Error(`bench finetune: expected ${Object.keys(models).join(", ")}, got ${name}`);
  const model = await models[name]();
  for (const dtype of values.dtypes.split(",")) {
    const options = {
      model,
      file,
      dtype,
      pairs: Number(values.pairs),
      threads: Number(values.threads),
      maxTokens: 512,
    };
    if (values.dropout !== undefined) options.dropout = Number(values.dropout);
    const sides = {
      ours: startSide(process.execPath, here("finetune-ours.mjs"), options),
      "sentence-transformers": startSide(python, here("finetune-sentence-transformers.py"), options),
    };
    const results = {};
    for (const side of Object.values(sides)) await side.next();
    for (let round = -1; round < rounds; round++) {
      for (const [side, { ask }] of Object.entries(sides)) {
        const result = await ask({ steps: round < 0 ? 1 : steps });
        if (round >= 0) (results[side] ??= []).push(result);
      }
    }
    for (const { end } of Object.values(sides)) end();
    console.log(`\n${name} ${dtype}${values.dropout === undefined ? "" : `, dropout ${values.dropout}`}`);
    const rates = Object.fromEntries(
      Object.entries(results).map(([side, list]) => [side, list.map(({ tokens, seconds }) => tokens / seconds)]),
    );
    for (const [side, list] of Object.entries(rates)) {
      const { peakMB } = results[side].at(-1);
      console.log(
        `  ${side.padEnd(24)} ${median(list).toFixed(0).padStart(6)} (${Math.max(...list).toFixed(0)})  ${peakMB.toFixed(0)} MB  loss ${results[side].map(({ loss }) => loss.toFixed(3)).join(" ")}`,
      );
    }
    console.log(
      `  ours / theirs            ${(median(rates.ours) / median(rates["sentence-transformers"])).toFixed(2)}`,
    );
  }
}
