// The models, the texts and the sides of `npm run bench -- encode`, and how they are measured: each side in a process that
// stays, with the same threads and the same longest text, taking turns. Used by bench/encode.mjs and bench/check.mjs.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Encoder } from "neobert";
import { exportGguf, exportOnnx } from "neobert/export";
import { installPackages, makeEnvironment, pythonOf } from "../test/peers/environments.mjs";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { here, median, needFiles, percentile, realTexts, shuffled } from "./measure.mjs";
import { writeRandomModel } from "./random-model.mjs";
import { startSide } from "./side.mjs";

const cache = here("../.cache/bench-encode");
const miniLM = await fetchMiniLM();
needFiles(miniLM);
const { sentences, abstracts } = realTexts(720, 240);
const measured = { sentences: sentences.slice(0, 600), abstracts: abstracts.slice(0, 200) };
const mixed = shuffled([...measured.sentences, ...measured.abstracts]);
/** What NNCF calibrates on: as many sentences to an abstract as in the mixed texts, and none of them. */
const calibration = [...sentences.slice(600), ...abstracts.slice(200)].filter((text) => !mixed.includes(text));
const long = (tokens, count) =>
  Array.from({ length: count }, (_, i) => measured.abstracts.slice(i, i + Math.ceil(tokens / 150)).join(" "));

const random = (kind) => () => writeRandomModel(kind, cache, miniLM);
/** Texts by label (those of the first give the cosine), texts that are embedded one at a time, longest text in tokens. */
export const encodeCases = {
  minilm: { model: () => miniLM, texts: { mixed, sentences: measured.sentences }, single: measured.sentences.slice(0, 200), maxTokens: 256 },
  bert: { model: random("bert"), texts: { mixed: mixed.slice(0, 200) }, single: measured.sentences.slice(0, 50), maxTokens: 512 },
  "neobert-512": { model: random("neobert"), texts: { "512 tokens": long(512, 8) }, single: [], maxTokens: 512 },
  "neobert-4096": { model: random("neobert"), texts: { "4096 tokens": long(4096, 1) }, single: [], maxTokens: 4096 },
}; // biome-ignore format: a table

export const tables = ["fp32 and bf16", "int8"];

/** The sides of a table, each with the environment that its script runs in and what that is told. */
function sidesOf(name, table, { model, exported, ...files }) {
  const isLong = name.startsWith("neobert");
  const ours = (engine, dtype, worker = true) => {
    const label = `ours ${engine} ${dtype}${worker ? "" : ", no worker"}`;
    return [label, "node", "encode-ours.mjs", { model, engine, dtype, worker }];
  };
  const transformersJs = (dtype) =>
    (isLong ? [1] : [1, 32]).map((batch) => {
      const options = { root: `${cache}/exported`, name: modelOf(name), dtype: dtype === "int8" ? "q8" : dtype, batch };
      return [`transformers.js ${dtype} x ${batch}`, "transformers-js", "encode-transformers-js.mjs", options];
    });
  const fileOf = (dtype) => `onnx/${dtype === "int8" ? "model_quantized" : "model"}.onnx`;
  const sentenceTransformers = (engine, dtype) => {
    const options = { model: engine === "onnx" ? exported : model, engine, dtype, file: fileOf(dtype), batch: 32 };
    return [`sentence-transformers ${engine} ${dtype}`, "encode", "encode-sentence-transformers.py", options];
  };
  const fastembed = (dtype) => {
    const { hidden_size: dim } = JSON.parse(readFileSync(`${model}/config.json`, "utf8"));
    return [
      `fastembed ${dtype}`,
      "fastembed",
      "encode-fastembed.py",
      { model: exported, file: fileOf(dtype), dim, batch: 32 },
    ];
  };
  const pytorch = (dtype) => [`PyTorch ${dtype}`, "encode", "encode-neobert.py", { model, dtype }];
  const openVino = (dtype) =>
    [1, 2].map((streams) => {
      const options = {
        model: `${exported}/${fileOf("fp32")}`,
        tokenizer: `${exported}/tokenizer.json`,
        dtype,
        streams,
      };
      return [
        `OpenVINO ${dtype}, ${streams} stream${streams > 1 ? "s" : ""}`,
        "openvino",
        "encode-openvino.py",
        { ...options, ...files, tokens: 512 },
      ];
    });
  const llamaCpp = (dtype) => {
    const label = `llama.cpp ${dtype === "int8" ? "Q8_0" : "F32"}`;
    return [label, "node-llama-cpp", "encode-llama-cpp.mjs", { file: ggufFile(name, dtype) }];
  };
  if (table === "int8") {
    return [
      ours("onnx", "int8"),
      ours("torch", "int8"),
      ours("torch", "int8", false),
      ...openVino("int8"),
      ...transformersJs("int8"),
      ...(isLong ? [] : [sentenceTransformers("onnx", "int8")]),
      fastembed("int8"),
      llamaCpp("int8"),
    ];
  }
  return [
    ours("onnx", "fp32"),
    ours("torch", "fp32"),
    ours("onnx", "fp32", false),
    ours("torch", "bf16"),
    ...openVino("fp32"),
    ...openVino("bf16"),
    ...transformersJs("fp32"),
    ...(isLong
      ? [pytorch("fp32"), pytorch("bf16")]
      : [
          sentenceTransformers("torch", "fp32"),
          sentenceTransformers("torch", "bf16"),
          sentenceTransformers("onnx", "fp32"),
        ]),
    fastembed("fp32"),
    llamaCpp("fp32"),
  ];
}

const modelOf = (name) => name.split("-")[0];
const exportedFolder = (name) => `${cache}/exported/${modelOf(name)}`;
const ggufFile = (name, dtype) => `${exportedFolder(name)}/model-${dtype}.gguf`;

/** Writes what the sides read. NOTE: kept between runs; delete .cache/bench-encode after a change of an export. */
async function writeFiles(name, model) {
  const exported = exportedFolder(name);
  for (const [dtype, file] of Object.entries({ fp32: "model", int8: "model_quantized" })) {
    if (!existsSync(`${exported}/onnx/${file}.onnx`)) await exportOnnx(model, exported, { dtype });
    if (!existsSync(ggufFile(name, dtype))) exportGguf(model, ggufFile(name, dtype), { dtype, pooling: "mean" });
  }
  mkdirSync(cache, { recursive: true });
  const files = { calibration: `${cache}/calibration.json`, quantized: `${exported}/openvino-int8.xml` };
  writeFileSync(files.calibration, JSON.stringify(calibration));
  return { model, exported, ...files };
}

/** The program of an environment, which is made where it is absent, and the folder of npm's packages. */
async function programOf(environment) {
  if (environment === "node") return { program: process.execPath };
  if (["transformers-js", "node-llama-cpp"].includes(environment)) {
    return { program: process.execPath, folder: await installPackages(environment) };
  }
  await makeEnvironment(environment, () => {});
  return { program: pythonOf(environment) };
}

function meanCosine(a, b) {
  const cosine = (x, y) => {
    const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  };
  return a.reduce((sum, vector, i) => sum + cosine(vector, b[i]), 0) / a.length;
}

/** Our fp32 vectors of the texts that a side's answer has. */
async function referenceVectors(model, texts, { threads, maxTokens }) {
  const encoder = await Encoder.load(model, { threads });
  const vectors = await encoder.encode(texts.slice(0, 64), { maxTokens });
  await encoder.dispose();
  return [...vectors].map((vector) => [...vector]);
}

/** A running side that has given its first vector, and the time from its start to there; `warm`: a process before it fills the caches. */
async function start({ program, script, options, env, warm }) {
  if (warm) {
    const first = startSide(program, here(script), options, { env });
    await first.next();
    await first.end();
  }
  const begun = performance.now();
  const side = startSide(program, here(script), options, { env });
  await side.next();
  return { ...side, loadMs: performance.now() - begun, times: {}, onePeakMB: 0, peakMB: 0 };
}

/**
 * Measures the sides of one table whose label `isWanted`, on the first `count` of each kind of texts, each started twice where
 * its load counts (`warm`). Gives the labels of the
 * tasks, for each side that started `{ rates, one, loadMs, onePeakMB, peakMB, cosine }` (texts/s of each round by label, ms of
 * single texts), and for each other side why it did not.
 */
export async function measureEncoding(name, table, { isWanted, rounds, threads, count, warm = true }) {
  const { model, texts, single, maxTokens } = encodeCases[name];
  const files = await writeFiles(name, model());
  const [running, leftOut] = [{}, {}];
  // Libraries that have no such option of their own read these.
  const env = { OMP_NUM_THREADS: `${threads}`, RAYON_NUM_THREADS: `${threads}` };
  for (const [label, environment, script, options] of sidesOf(name, table, files)) {
    if (!isWanted(label)) continue;
    try {
      const { program, folder } = await programOf(environment);
      running[label] = await start({ program, script, env, warm, options: { ...options, folder, threads, maxTokens } });
    } catch (error) {
      const lines = error.message.trim().split("\n");
      leftOut[label] = lines.findLast((line) => /^\S*(Error|Exception)\b/.test(line)) ?? lines.at(-1);
    }
  }
  const tasks = Object.entries(texts).map(([label, list]) => ({ label, texts: list.slice(0, count), single: false }));
  const reference = await referenceVectors(files.model, tasks[0].texts, { threads, maxTokens });
  // The first, so that its peak of memory is its own.
  if (single.length > 0) tasks.unshift({ label: "one at a time", texts: single.slice(0, count), single: true });
  for (let round = -1; round < rounds; round++) {
    for (const { label, ...task } of tasks) {
      if (round < 0 && !task.single) task.texts = task.texts.slice(0, 32); // warm-up
      const sides = Object.values(running);
      for (const side of round % 2 === 0 ? sides.reverse() : sides) {
        const { times, peakMB, vectors } = await side.ask(task);
        side.peakMB = peakMB;
        if (task.single && round < 0) side.onePeakMB = peakMB;
        if (round < 0) continue;
        (side.times[label] ??= []).push(times);
        if (label === Object.keys(texts)[0]) side.cosine = meanCosine(vectors, reference);
      }
    }
  }
  await Promise.all(Object.values(running).map((side) => side.end()));
  const results = Object.entries(running).map(([label, { times, loadMs, onePeakMB, peakMB, cosine }]) => {
    const rates = tasks
      .filter((task) => !task.single)
      .map((task) => [task.label, times[task.label].map(([ms]) => (1e3 * task.texts.length) / ms)]);
    const one = times["one at a time"]?.flat();
    return [label, { rates: Object.fromEntries(rates), one, loadMs, onePeakMB, peakMB, cosine }];
  });
  return { labels: Object.keys(texts), sides: Object.fromEntries(results), leftOut };
}

/** What the sides are compared by: each number by its name, larger is better. */
export function scoresOf({ rates, one }) {
  const scores = Object.entries(rates).map(([label, list]) => [label, median(list)]);
  if (one) scores.push(["one text, p50", 1 / percentile(one, 0.5)], ["one text, p99", 1 / percentile(one, 0.99)]);
  return Object.fromEntries(scores);
}
