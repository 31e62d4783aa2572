// SOAP and both forms of nGPT against the run that they change, M5 with AdamW, small: the same texts in the same order, each at
// several learning rates, and the loss on held-out text after each. Minutes on two cores. What is finished is kept.
//
//   node runs/variants.mjs --data FOLDER
//
//   --out FOLDER   default out/ablations/variants       --docs   the table into docs/ablations.md
//   key=value      options of every pretraining, as `neobert pretrain` takes them

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { heldOutScores, loadRunConfig } from "neobert/train";
import { latestCheckpoint } from "#neobert/files/run-folder";
import { machine, table, writeSection } from "./results.mjs";
import { chainOf, scaledOptions } from "./scale.mjs";
import { makeTexts, pretrainOnce, readYaml } from "./stages.mjs";

const variants = {
  m5: "M5: AdamW, RMSNorm",
  soap: "SOAP",
  "ngpt-neobert": "nGPT as the paper's code has it",
  ngpt: "nGPT as its authors have it",
};

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: "string", default: "../shared/data" },
    out: { type: "string", default: "out/ablations/variants" },
    docs: { type: "boolean", default: false },
  },
});
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const scale = readYaml("runs/ablations/variants.yaml");
const { wordpiece: shards } = await makeTexts(scale, (file) => join(flags.data, file), flags.out);

const rows = [];
let unigram, versions;
for (const [id, what] of Object.entries(variants)) {
  const losses = [];
  for (const lr of scale.rates) {
    const out = join(flags.out, `${id}-${lr}`);
    const scaled = scaledOptions(scale, chainOf("runs/ablations", id), { wordpiece: shards });
    const config = loadRunConfig(`runs/ablations/${id}.yaml`, [
      ...scaled,
      `out=${out}`,
      `optimizer.lr=${lr}`,
      ...positionals,
    ]);
    const scores = heldOut(await pretrainOnce(`${id} at ${lr}`, config));
    losses.push(scores.model.loss);
    unigram = scores.unigram.loss;
    versions = readJson(join(latestCheckpoint(out), "training/state.json")).record;
  }
  rows.push([id, what, ...losses.map((loss) => loss.toFixed(3))]);
}
const head = ["run", "what it is", ...scale.rates.map((lr) => `loss at ${lr}`)];
const text = `${table(head, rows)}\nUnigram: ${unigram.toFixed(3)}. ${machine(versions)}\n`;
writeFileSync(join(flags.out, "variants.md"), text);
if (flags.docs) writeSection("docs/ablations.md", "variants", text);
console.log(text);

/** The model's scores on held-out text, on the same masks for every model. */
function heldOut(model) {
  const kept = join(dirname(model), "held-out.json");
  if (!existsSync(kept))
    writeFileSync(kept, JSON.stringify(heldOutScores({ model, ...shards.books, ...scale.heldOut })));
  return readJson(kept);
}

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
