// Where the time of our ONNX session goes, by ONNX Runtime's own profile: share of each operator, and the rate of the products.
// Then one text at a time, through `Encoder` (a worker thread) and by the same session in the calling thread.
//   npm run bench -- encode-profile [minilm|bert|neobert] [--dtype=fp32|int8] [--lengths=512,512,512,512] [--runs=4]
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { Encoder } from "neobert";
import { loadOnnxEngine } from "#neobert/engine/onnx-engine";
import { importOnnxRuntime } from "#neobert/onnx/onnxruntime";
import { packedFeeds, runInputs } from "#neobert/onnx/packed-feeds";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { cores, here, inTurns, machine, msOf, needFiles, optionsOf, percentile, total } from "./measure.mjs";
import { writeRandomModel } from "./random-model.mjs";

const cache = here("../.cache/bench-encode");
const { names, dtype, runs, ...given } = optionsOf({ dtype: "fp32", lengths: "512,512,512,512", runs: 4 }, [
  "minilm",
  "bert",
  "neobert",
]);
const [name] = names;
const threads = cores;
const miniLM = await fetchMiniLM();
needFiles(miniLM);
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

const lengths = given.lengths.split(",").map(Number);
const { times, whole, operations } = await profile(lengths);
const tokens = total(lengths);
console.log(`${machine(threads)}: ${name} in ${dtype}, ${lengths.length} texts, ${tokens} tokens`);
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
const oneByOne = (encode) => async () => {
  const times = [];
  for (const text of texts) times.push(await msOf(() => encode(text)));
  return times;
};
const taken = await inTurns(
  {
    "Encoder.encode": oneByOne((text) => encoder.encode(text)),
    "the session alone": oneByOne((text) => engine.hidden(batchOf([encoder.countTokens(text)]))),
  },
  5,
);
console.log(`one text at a time, ${texts.length} sentences`);
for (const [way, times] of Object.entries(taken)) {
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(times.flat(), share).toFixed(2));
  console.log(`  ${way.padEnd(20)}p50 ${p50} p99 ${p99} ms`);
}
await encoder.dispose();
await engine.dispose();
