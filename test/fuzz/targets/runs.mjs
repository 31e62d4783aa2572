// What a run reads: its file in all three kinds, with overrides; token shards; a checkpoint that it goes on from. And the file
// of models that are served.

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { readServeFile } from "#neobert/cli/serve-file";
import { countingDocuments, writeFixtureShards } from "#neobert/data/fixture-data";
import { openShards } from "#neobert/data/shards";
import { parseClassifyConfig } from "#neobert/train/classify/classify-config";
import { loadContrastiveConfig } from "#neobert/train/contrastive/contrastive-config";
import { smallRun, writePreparedFolder } from "#neobert/train/fixture-train";
import { runLoop } from "#neobert/train/loop/loop";
import { loadRunConfig } from "#neobert/train/pretrain/pretrain-config";
import { pretraining } from "#neobert/train/pretrain/pretrain-task";
import { filesIn } from "../folders.mjs";
import { safetensorsHeader } from "../mutants.mjs";

const pretrain = `# a run
model: { hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48 }
data: { train: [{ path: data/a, weight: 2 }], validation: data/v }
steps: 12
tokensPerStep: 1024
optimizer: { name: adamw, lr: 1e-2, betas: [0.9, 0.98] }
schedule: &s
  warmupSteps: 2
out: runs/a
`;
const contrastive = `extends: base.yaml
out: runs/b
data:
  train:
    - { name: pairs, path: pairs.jsonl, query: a, positive: b, filter: { column: score, above: 0.5 } }
`;
const base = "model: { from: runs/a/model }\nsteps: 10\ntextsPerStep: 8\ntemperature: 0.05\n";
const classify =
  "out: runs/c\nmodel: { from: runs/a/model }\ndata: { train: a.jsonl, text: text, label: label }\nepochs: 3\n";

const serve = `models:
  - { model: owner/a, name: a, task: [embed, tag], engine: onnx, dtype: int8, threads: 1, instances: 2, revision: main }
  - { model: b, onnxFile: onnx/model.onnx, batchTokens: 512, maxWaitingTokens: 1e6, maxRunMs: 2.5 }
`;

/** The run file as YAML and as JSON, and a list of overrides a line each; `parse` takes the path and the overrides. */
function runFile(yaml, json, parse, more = {}) {
  return () => {
    const files = {
      "run.yaml": yaml,
      "run.json": JSON.stringify(json),
      overrides: "steps=20\nout=a=b\noptimizer.lr=1e-4",
      ...more,
    };
    const read = (folder, path) => {
      const given = path === "overrides" ? readFileSync(`${folder}/overrides`, "utf8").split("\n") : [];
      return parse(`${folder}/${path === "run.json" ? path : "run.yaml"}`, given);
    };
    return { files, mutate: Object.keys(files), read };
  };
}

const shards = () => {
  const folder = writeFixtureShards(countingDocuments([5, 1, 30, 7, 2, 12]), { documentsPerShard: 4 });
  const files = filesIn(folder);
  rmSync(folder, { recursive: true });
  return files;
};

export const targets = {
  "pretrain-file": runFile(
    pretrain,
    { model: { hidden_size: 32 }, data: "a", out: "b", steps: 10, optimizer: { betas: [0.9, 0.98] } },
    loadRunConfig,
  ),
  "contrastive-file": runFile(
    contrastive,
    { model: { from: "a" }, data: { train: [{ name: "a", path: ["b"] }] }, out: "b", steps: 10 },
    loadContrastiveConfig,
    { "base.yaml": base },
  ),
  "classify-file": runFile(
    classify,
    { model: { from: "a" }, data: { train: ["a"], label: ["b", "c"] }, out: "b" },
    (path, overrides) => parseClassifyConfig(readFileSync(path, "utf8"), { file: path, overrides }),
  ),
  "serve-file": () => ({
    files: { "models.yaml": serve },
    mutate: ["models.yaml"],
    read: (folder) => readServeFile(`${folder}/models.yaml`),
  }),
  shards: () => {
    const files = shards();
    const read = (folder) => {
      const opened = openShards(folder);
      try {
        opened.lengths(0, opened.documents);
        for (let document = 0; document < Math.min(opened.documents, 20); document++) opened.document(document);
      } finally {
        opened.close();
      }
    };
    return {
      files,
      mutate: ["manifest.json", "manifest.json", ...Object.keys(files).filter((path) => path.startsWith("offsets"))],
      read,
    };
  },
  async checkpoint() {
    const root = await writePreparedFolder();
    process.on("exit", () => rmSync(root, { recursive: true, force: true }));
    const config = smallRun(root, "run", "steps=5", "checkpoint.everySteps=4");
    await runLoop(pretraining(config), { shouldStop: stopAfter(4) });
    const checkpoint = `${root}/run/checkpoints/step-00000004`;
    const files = Object.fromEntries(
      Object.entries(filesIn(checkpoint)).filter(([path]) => !/README|special_tokens/.test(path)),
    );
    return {
      files,
      mutate: [
        ...Array(5).fill("training/state.json"),
        "training/optimizer.safetensors",
        "config.json",
        "model.safetensors",
      ],
      structures: { "training/optimizer.safetensors": safetensorsHeader, "model.safetensors": safetensorsHeader },
      async read(folder) {
        rmSync(`${root}/run`, { recursive: true });
        cpSync(folder, checkpoint, { recursive: true });
        writeFileSync(`${root}/run/latest`, "step-00000004\n");
        await runLoop(pretraining(config), { resume: true });
      },
    };
  },
};

/** Says stop when so many steps were taken: a step of the small run asks three times. */
function stopAfter(steps) {
  let asked = 0;
  return () => ++asked > steps * 2;
}
