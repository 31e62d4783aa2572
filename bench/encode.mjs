// Embedding real texts: ours against transformers.js and sentence-transformers, each in a process that stays, taking turns.
// NeoBERT takes part in plain PyTorch (test/peers/neobert_torch.py). Shown: texts/s (median and best), p50 and p99 of one text
// at a time, from the start of the process to its first vector (load; a first process has filled the caches), peak memory
// after one text at a time and in the end, agreement with our fp32 vectors.
//   npm run bench -- encode [minilm|bert|neobert-512|neobert-4096 ...] [--rounds=3] [--threads=N] [--match=REGEXP] [--texts=N]
// --texts takes the first N of each kind, to see that all sides start. Python's libraries are installed on first use.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { exportOnnx } from "neobert/export";
import { makeEnvironment, pythonOf } from "../test/peers/environments.mjs";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { cores, here, machine, median, needFiles, optionsOf, percentile, realTexts, shuffled } from "./measure.mjs";
import { transformersJs, writeRandomModel } from "./random-model.mjs";
import { startSide } from "./side.mjs";

const cache = here("../.cache/bench-encode");
const python = pythonOf("encode");
const { names, rounds, threads, match, ...limits } = optionsOf({ rounds: 3, threads: cores, match: "", texts: 1000 }, [
  "minilm",
  "bert",
  "neobert-512",
  "neobert-4096",
]);
const chosen = new RegExp(match);
const miniLM = await fetchMiniLM();
needFiles(miniLM);
const { sentences, abstracts } = realTexts(600, 200);
const long = (tokens, count) =>
  Array.from({ length: count }, (_, i) => abstracts.slice(i, i + Math.ceil(tokens / 150)).join(" "));

const cases = {
  minilm: { model: () => miniLM, texts: { mixed: shuffled([...sentences, ...abstracts]), sentences }, single: sentences.slice(0, 200) },
  bert: { model: () => writeRandomModel("bert", cache, miniLM), texts: { mixed: shuffled([...sentences, ...abstracts]).slice(0, 200) }, single: sentences.slice(0, 50) },
  "neobert-512": { model: () => writeRandomModel("neobert", cache, miniLM), texts: { "512 tokens": long(512, 8) }, maxTokens: 512 },
  "neobert-4096": { model: () => writeRandomModel("neobert", cache, miniLM), texts: { "4096 tokens": long(4096, 1) }, maxTokens: 4096 },
}; // biome-ignore format: a table

function meanCosine(a, b) {
  const cosine = (x, y) => {
    const dot = (u, v) => u.reduce((sum, value, i) => sum + value * v[i], 0);
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  };
  return a.reduce((sum, vector, i) => sum + cosine(vector, b[i]), 0) / a.length;
}

/** Every side that --match names: its program, and what it is told. */
async function sidesOf(name, model, maxTokens) {
  const isLarge = name.startsWith("neobert");
  const exported = `${cache}/exported`;
  const folder = `${cache}/transformers-js`;
  const ours = ["onnx fp32", "onnx int8", "torch fp32", "torch bf16"].map((kind) => {
    const [engine, dtype] = kind.split(" ");
    return [`ours ${kind}`, process.execPath, "encode-ours.mjs", { model, engine, dtype }];
  });
  const js = ["fp32", "q8"].flatMap((dtype) =>
    (isLarge ? [1] : [1, 32]).map((batch) => {
      const options = { folder, root: exported, name, dtype, batch };
      return [`transformers.js ${dtype} x ${batch}`, process.execPath, "encode-transformers-js.mjs", options];
    }),
  );
  const pytorch = ["fp32", "bf16"].map((dtype) => [`PyTorch ${dtype}`, python, "encode-neobert.py", { model, dtype }]);
  const st = ["torch fp32", "torch bf16", "onnx fp32", "onnx int8"].map((kind) => {
    const [engine, dtype] = kind.split(" ");
    const file = `onnx/${dtype === "int8" ? "model_quantized" : "model"}.onnx`;
    const options = { model: engine === "onnx" ? `${exported}/${name}` : model, engine, dtype, file, batch: 32 };
    return [`sentence-t. ${kind}`, python, "encode-sentence-transformers.py", options];
  });
  const wanted = [...ours, ...js, ...(isLarge ? pytorch : st)].filter(([side]) => chosen.test(side));
  if (wanted.some(([side]) => side.startsWith("transformers.js")) && !existsSync(`${folder}/node_modules`)) {
    mkdirSync(folder, { recursive: true });
    const flags = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder];
    execFileSync("npm", [...flags, transformersJs], { stdio: ["ignore", "ignore", "inherit"] });
  }
  if (wanted.some(([, program]) => program === python)) await makeEnvironment("encode", () => {});
  return wanted.map(([side, program, script, options]) => ({
    side,
    program,
    script,
    options: { ...options, threads, maxTokens },
  }));
}

console.log(`${machine(threads)}; median (best) of ${rounds} rounds in turns`);
for (const name of names) {
  const { model, texts, single = [], maxTokens } = cases[name];
  const folder = await model();
  for (const [dtype, file] of Object.entries({ fp32: "model", int8: "model_quantized" })) {
    // NOTE: kept between runs; delete .cache/bench-encode after a change of the export.
    const out = `${cache}/exported/${name}`;
    if (!existsSync(`${out}/onnx/${file}.onnx`)) await exportOnnx(folder, out, { dtype });
  }
  const running = {};
  for (const { side, program, script, options } of await sidesOf(name, folder, maxTokens)) {
    const first = startSide(program, here(script), options);
    await first.next();
    await first.end();
    const begun = performance.now();
    const process_ = startSide(program, here(script), options);
    await process_.next();
    running[side] = { ...process_, loadMs: performance.now() - begun, times: {}, onePeakMB: 0, peakMB: 0 };
  }
  const some = (list) => list.slice(0, limits.texts);
  const tasks = Object.entries(texts).map(([label, list]) => ({ label, texts: some(list), single: false }));
  // The first, so that its peak of memory is its own.
  if (single.length > 0) tasks.unshift({ label: "one at a time", texts: some(single), single: true });
  const reference = {};
  for (let round = -1; round < rounds; round++) {
    for (const { label, ...task } of tasks) {
      if (round < 0 && !task.single) task.texts = task.texts.slice(0, 32); // warm-up
      for (const side of Object.values(running)) {
        const { times, peakMB, vectors } = await side.ask(task);
        side.peakMB = peakMB;
        if (task.single && round < 0) side.onePeakMB = peakMB;
        if (round < 0) continue;
        (side.times[label] ??= []).push(times);
        if (!task.single) side.cosine = meanCosine(vectors, (reference[label] ??= vectors));
      }
    }
  }
  await Promise.all(Object.values(running).map((side) => side.end()));
  console.log(
    `\n${name}${" ".repeat(28 - name.length)}${tasks.map(({ label }) => label.padStart(20)).join("")}   load ms   one MB  peak MB   cosine`,
  );
  for (const [side, { times, loadMs, onePeakMB, peakMB, cosine }] of Object.entries(running)) {
    const columns = tasks.map(({ label, texts, single }) => {
      if (single) {
        const all = times[label].flat();
        return `p50 ${percentile(all, 0.5).toFixed(1)} p99 ${percentile(all, 0.99).toFixed(1)}`;
      }
      const rates = times[label].map(([ms]) => (1e3 * texts.length) / ms);
      const shown = (rate) => rate.toFixed(rate < 10 ? 3 : 1);
      return `${shown(median(rates))} (${shown(Math.max(...rates))})`;
    });
    const one = (onePeakMB > 0 ? onePeakMB.toFixed(0) : "-").padStart(9);
    const numbers = [loadMs.toFixed(0).padStart(10), one, peakMB.toFixed(0).padStart(9), cosine.toFixed(5).padStart(9)];
    console.log(`  ${side.padEnd(26)}${columns.map((text) => text.padStart(20)).join("")}${numbers.join("")}`);
  }
}
