// What evaluations and reports read: arrays of vectors, MTEB's result files and folders of other results, the mapping of
// MTEB's tasks to files, cards of data sets, and the Hub's listings in the cache.

import { readFileSync, rmSync } from "node:fs";
import { chooseFiles, configurationsOf } from "#neobert/evaluate/mteb/hub-data";
import { readLocalData } from "#neobert/evaluate/mteb/local-data";
import { mtebTasks } from "#neobert/evaluate/mteb/mteb-tasks";
import { mainScoreOf, ResultFolder, resultOf } from "#neobert/evaluate/mteb/result-file";
import { npyHeader, readNpy } from "#neobert/files/npy";
import { writeReport } from "#neobert/report/index";
import { filesOf } from "../folders.mjs";
import { jsonLines } from "../mutants.mjs";

const about = { name: "a/b", revision: "c" };
const task = mtebTasks.find(({ name }) => name === "STS12");

export const targets = {
  npy: () => {
    const npy = Buffer.concat([npyHeader("Float32Array", [3, 2]), Buffer.alloc(24, 1)]);
    return { files: { "a.npy": npy }, mutate: ["a.npy"], read: (folder) => readNpy(`${folder}/a.npy`) };
  },
  "mteb-results": () => {
    const files = filesOf((folder) => {
      const results = new ResultFolder(folder, about, { dtype: "fp32" });
      results.write(task, resultOf(task, { main_score: 0.5, cosine_spearman: 0.5 }, 3), {
        seconds: 3,
        encodeSeconds: 1,
      });
    });
    const read = (folder) => {
      const results = new ResultFolder(folder, about, { dtype: "fp32" });
      mainScoreOf(results.read(task));
      results.timing(task)?.seconds.toFixed(1);
      writeReport([folder], `${folder}/report.html`);
    };
    const mutate = Object.keys(files).filter((path) => !path.endsWith("model_meta.json"));
    return { files, mutate, read };
  },
  reports: () => {
    const seconds = { data: 0.1, forward: 1, backward: 2, optimizer: 0.5 };
    const metrics = [1, 2, 3].map((step) => {
      return {
        step,
        loss: 5 / step,
        lr: 1e-3,
        gradNorm: 1,
        tokensPerSecond: 100,
        tokens: 10,
        tokensSeen: 10 * step,
        seconds,
      };
    });
    const lines = [...metrics, { step: 3, validation: { loss: 2, accuracy: 0.5 } }].map((line) => JSON.stringify(line));
    const scores = { accuracy: 0.8, f1: 0.7 };
    const glue = {
      ...{ benchmark: "glue", model: "a/b", versions: { neobert: "0" }, settings: { seeds: [0, 1] } },
      tasks: { cola: { best: { lr: 1e-5 }, seeds: [{ seed: 0, scores, main: 0.8 }], mean: 0.8, std: 0 } },
      ...{ average: 0.8, missing: ["mnli"] },
    };
    const run = { out: "a", steps: 3, optimizer: { lr: 1e-3 }, schedule: { warmupSteps: 1 } };
    const files = {
      "run/metrics.jsonl": lines.join("\n"),
      "run/run.yaml": JSON.stringify(run),
      "run/latest": "step-00000003",
      "run/checkpoints/step-00000003/training/state.json": JSON.stringify({ record: { dtype: "fp32", threads: 1 } }),
      "glue/glue.json": JSON.stringify(glue),
    };
    const read = (folder, path) => {
      writeReport([`${folder}/${path.split("/")[0]}`], `${folder}/report.html`);
      rmSync(`${folder}/report.html`);
    };
    return { files, mutate: Object.keys(files), structures: { "run/metrics.jsonl": jsonLines }, read };
  },
  "mteb-mapping": () => {
    const mapping = {
      STS12: { test: { files: ["a.jsonl"], columns: { sentence1: "a", sentence2: "b", score: "c" } } },
      Own: { type: "Retrieval", corpus: { files: ["c"] }, queries: { files: ["q"] }, qrels: { files: ["r"] } },
    };
    const files = { "data.json": JSON.stringify(mapping), "data.yaml": "STS12:\n  test: { files: [a.jsonl] }\n" };
    return { files, mutate: Object.keys(files), read: (folder, path) => readLocalData(`${folder}/${path}`, folder) };
  },
  "dataset-card": () => {
    const configs = [
      { config_name: "default", default: true, data_files: [{ split: "test", path: "data/test-*" }] },
      { config_name: "en", data_files: "en/*.jsonl" },
    ];
    const card = {
      open: (bytes) => bytes.toString().split("\n")[1],
      close: (text) => Buffer.from(`---\n${text}\n---\nCard`),
    };
    const read = (folder) => {
      const found = configurationsOf(readFileSync(`${folder}/README.md`, "utf8"));
      const paths = ["data/test-0.parquet", "en/a.jsonl", "README.md"];
      chooseFiles(paths, found, { configuration: "default", split: "test" });
      chooseFiles(paths, found, { configuration: "en", split: "any" });
    };
    const text = card.close(JSON.stringify({ license: "mit", configs }));
    return { files: { "README.md": text }, mutate: ["README.md"], structures: { "README.md": card }, read };
  },
};
