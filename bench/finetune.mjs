// Contrastive fine-tuning on the same pairs of mixed length, real tokens/s: ours against sentence-transformers' model and
// MultipleNegativesRankingLoss in a plain loop, each in a process that stays, taking turns. Both tokenize, drop out, clip and
// step as in a run; sentence-transformers comes from the environment of `npm run test:peers`.
//   npm run bench -- finetune [minilm|bert ...] [--rounds=3] [--dtypes=fp32,bf16] [--pairs=32] [--steps=2] [--threads=2] [--dropout=0]
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { here, inTurns, machine, median, needFiles, optionsOf, peerPython, shared, shuffled } from "./measure.mjs";
import { writeRandomModel } from "./random-model.mjs";
import { startSide } from "./side.mjs";

const cache = here("../.cache/bench-encode");
const { names, rounds, dtypes, pairs, steps, threads, dropout } = optionsOf(
  { rounds: 3, dtypes: "fp32,bf16", pairs: 32, steps: 2, threads: 2, dropout: undefined },
  ["minilm", "bert"],
);
const miniLM = await fetchMiniLM();
needFiles(miniLM, shared(""), peerPython);
const models = { minilm: () => miniLM, bert: () => writeRandomModel("bert", cache, miniLM) };

/** Questions with abstracts, articles with their first sentences, premises with hypotheses: 10 to 500 tokens. */
function mixedPairs() {
  const unpacked = (path) => gunzipSync(readFileSync(shared(path))).toString();
  const pubmed = Object.values(JSON.parse(unpacked("pubmedqa/ori_pqal.json.gz")));
  const compression = readFileSync(shared("sentence-compression/google.jsonl"), "utf8").trim().split("\n");
  const snli = unpacked("snli/test.txt.gz").trim().split("\n").slice(0, 3000);
  const all = [
    ...pubmed.map(({ QUESTION, CONTEXTS }) => [QUESTION, CONTEXTS.join(" ")]),
    ...compression.map((line) => JSON.parse(line)).map(({ text, summaries }) => [summaries[0], text]),
    ...snli.map((line) => line.split("\t").slice(0, 2)),
  ];
  return shuffled(all).map(([query, positive]) => ({ query, positive }));
}

mkdirSync(here("../.cache/bench-finetune"), { recursive: true });
const file = here("../.cache/bench-finetune/pairs.jsonl");
const lines = mixedPairs().map((pair) => JSON.stringify(pair));
writeFileSync(file, lines.join("\n"));

console.log(
  `${machine(threads)}, ${pairs} pairs a step; real tokens/s, median (best) of ${rounds} rounds of ${steps} steps in turns`,
);
for (const name of names) {
  const model = await models[name]();
  for (const dtype of dtypes.split(",")) {
    const options = { model, file, dtype, pairs, threads, maxTokens: 512 };
    if (dropout !== undefined) options.dropout = Number(dropout);
    const sides = {
      ours: startSide(process.execPath, here("finetune-ours.mjs"), options),
      "sentence-transformers": startSide(peerPython, here("finetune-sentence-transformers.py"), options),
    };
    for (const side of Object.values(sides)) await side.next();
    const asked = Object.entries(sides).map(([side, { ask }]) => [
      side,
      (round) => ask({ steps: round < 0 ? 1 : steps }),
    ]);
    const results = await inTurns(Object.fromEntries(asked), rounds);
    await Promise.all(Object.values(sides).map(({ end }) => end()));
    console.log(`\n${name} ${dtype}${dropout === undefined ? "" : `, dropout ${dropout}`}`);
    const rates = Object.fromEntries(
      Object.entries(results).map(([side, list]) => [side, list.map(({ tokens, seconds }) => tokens / seconds)]),
    );
    for (const [side, list] of Object.entries(rates)) {
      const { peakMB } = results[side].at(-1);
      console.log(
        `  ${side.padEnd(24)} ${median(list).toFixed(0).padStart(6)} (${Math.max(...list).toFixed(0)})  ${peakMB.toFixed(0)} MB`,
      );
    }
    console.log(
      `  ours / theirs            ${(median(rates.ours) / median(rates["sentence-transformers"])).toFixed(2)}`,
    );
  }
}
