// Where the time of our ONNX session goes, by ONNX Runtime's own profile: share of each operator, and the rate of the products.
// Then one text at a time, through `Encoder` (a worker thread) and by the same session in the calling thread.
//   npm run bench -- encode-profile [minilm|bert|neobert] [--dtype=fp32|int8] [--lengths=512,512,512,512] [--runs=4]
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Encoder } from "neobert";
import { loadOnnxEngine } from "#neobert/engine/onnx-engine";
import { importOnnxRuntime } from "#neobert/onnx/onnxruntime";
import { packedFeeds, runInputs } from "#neobert/onnx/packed-feeds";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { writeRandomModel } from "./random-model.mjs";

const cache = fileURLToPath(new URL("../.cache/bench-encode", import.meta.url));
const { values, positionals } = parseArgs({
  options: {
    dtype: { type: "string", default: "fp32" },
    lengths: { type: "string", default: "512,512,512,512" },
    runs: { type: "string", default: "4" },
  },
  allowPositionals: true,
});
const [name = "minilm"] = positionals;
if (!["minilm", "bert", "neobert"].includes(name)) {
  throw new Error(`bench encode-profile: expected minilm, bert or neobert, got ${name}`);
}
const { dtype } = values;
const [runs, threads] = [Number(values.runs), availableParallelism()];
const miniLM = await fetchMiniLM();
if (!miniLM) {
  console.log("Skipped: all-MiniLM-L6-v2, whose vocabulary is used, is absent.");
  process.exit(0);
}
const folder = name === "minilm" ? miniLM : writeRandomModel(name, cache, miniLM);
process.env.NEOBERT_CACHE = `${cache}/graphs/${name}-${dtype}`; // where the engine's graph can be found
const engine = await loadOnnxEngine(folder, { dtype, threads });
const graphs = `${process.env.NEOBERT_CACHE}/onnx`;
const [newest] = readdirSync(graphs).sort(
  (a, b) => statSync(`${graphs}/${b}`).mtimeMs - statSync(`${graphs}/${a}`).mtimeMs,
);

const batchOf = (lengths) => {
  const cuSeqlens = Int32Array.from([0, ...lengths]).map((_, i, all) => all.subarray(0, i + 1).reduce((a, b) => a + b));
  const ids = Int32Array.from({ length: cuSeqlens.at(-1) }, (_, i) => 1000 + ((i * 7919) % 20000));
  return { ids, cuSeqlens, tokenTypes: new Int32Array(ids.length) };
};

/** Times of ONNX Runtime's nodes in microseconds, by operator, and operations of the products. */
async function profile(lengths) {
  const { InferenceSession, Tensor } = await importOnnxRuntime();
  const session = await InferenceSession.create(`${graphs}/${newest}/model.onnx`, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    enableProfiling: true,
    profileFilePrefix: `${cache}/profile`,
  });
  const batch = batchOf(lengths);
  if (batch.ids.length > 2048)
    throw new Error(`bench encode-profile: expected lengths of one run, up to 2048 tokens in all, got ${lengths}`);
  const feeds = packedFeeds(Tensor, session.inputNames, runInputs(batch).inputs);
  for (let i = 0; i < runs; i++) await session.run(feeds);
  session.endProfiling();
  await session.release();
  const file = readdirSync(cache).find((entry) => entry.startsWith("profile_"));
  const events = JSON.parse(readFileSync(`${cache}/${file}`, "utf8"));
  rmSync(`${cache}/${file}`);
  const times = new Map();
  let operations = 0;
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("kernel_time")) continue;
    const { op_name: op } = args;
    times.set(op, (times.get(op) ?? 0) + dur);
    if (op !== "Gemm" && op !== "MatMulIntegerToFloat") continue;
    const [[rows, inputs]] = Object.values(args.input_type_shape[0]);
    const [[, outputs]] = Object.values(args.output_type_shape[0]);
    operations += 2 * rows * inputs * outputs;
  }
  const whole = events.filter(({ name }) => name === "model_run").reduce((sum, { dur }) => sum + dur, 0);
  return { times, whole, operations };
}

const lengths = values.lengths.split(",").map(Number);
const { times, whole, operations } = await profile(lengths);
const tokens = lengths.reduce((a, b) => a + b);
console.log(
  `${cpus()[0].model}, ${threads} threads, Node ${process.version}: ${name} in ${dtype}, ${lengths.length} texts, ${tokens} tokens`,
);
console.log(`${((1e6 * runs * tokens) / whole).toFixed(0)} tokens/s`);
const products = (times.get("Gemm") ?? 0) + (times.get("MatMulIntegerToFloat") ?? 0);
console.log(`products: ${(operations / products / 1e3).toFixed(0)} G operations/s`);
for (const [op, time] of [...times].sort(([, a], [, b]) => b - a)) {
  if (op === "If" || op === "Loop") continue; // they hold others
  if (time > 0.005 * whole) console.log(`  ${op.padEnd(32)}${((100 * time) / whole).toFixed(1).padStart(6)} %`);
}

const encoder = await Encoder.load(folder, { dtype, threads });
const words =
  "the report on a new railway line will be published by the committee of both towns next week or later".split(" ");
const texts = Array.from({ length: 100 }, (_, i) => words.slice(0, 6 + (i % 15)).join(" "));
const percentiles = (list) => {
  list.sort((a, b) => a - b);
  return `p50 ${list[list.length >> 1].toFixed(2)} p99 ${list[Math.floor(0.99 * list.length)].toFixed(2)} ms`;
};
const ways = {
  "Encoder.encode": (text) => encoder.encode(text),
  "the session alone": (text) => engine.hidden(batchOf([encoder.countTokens(text)])),
};
const taken = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
for (let round = 0; round < 6; round++) {
  for (const [way, encode] of Object.entries(ways)) {
    for (const text of texts) {
      const start = performance.now();
      await encode(text);
      if (round > 0) taken[way].push(performance.now() - start);
    }
  }
}
console.log(`one text at a time, ${texts.length} sentences`);
for (const [way, list] of Object.entries(taken)) console.log(`  ${way.padEnd(20)}${percentiles(list)}`);
await encoder.dispose();
await engine.dispose();
