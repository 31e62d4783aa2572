// Heap and time of a retrieval task of MSMARCO's size: 8.8 million made-up documents, read, cached and searched.
//   npm run bench -- corpus [--documents 8841823] [--queries 6980] [--dimension 32] [--no-cache]
// The vectors are noise, so what is measured is all but the encoder. In Node's default heap; no network.

import { createHash } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { getHeapStatistics } from "node:v8";
import { evaluateMteb } from "neobert/evaluate";
import { optionsOf } from "./measure.mjs";

const {
  documents,
  queries,
  dimension: d,
  "no-cache": noCache,
} = optionsOf({ documents: 8841823, queries: 6980, dimension: 32, "no-cache": false });
const MEAN_CHARACTERS = 335; // of MSMARCO's passages
const words = "the of and to in is for that with as are on by this from or an at be which it was".split(" ");
const root = mkdtempSync(join(tmpdir(), "neobert-corpus-"));
const path = (name) => join(root, name);

function writeLines(name, count, lineOf) {
  const fd = openSync(path(name), "w");
  for (let start = 0; start < count; start += 10_000) {
    const lines = Array.from({ length: Math.min(10_000, count - start) }, (_, i) => JSON.stringify(lineOf(start + i)));
    writeSync(fd, `${lines.join("\n")}\n`);
  }
  closeSync(fd);
}

function textOf(number) {
  let text = `passage ${number}`;
  const length = MEAN_CHARACTERS / 2 + ((number * 2654435761) % MEAN_CHARACTERS);
  for (let i = number; text.length < length; i = (i * 48271 + 11) % 2147483647) text += ` ${words[i % words.length]}`;
  return text;
}

/** Noise that a text decides. */
async function encode(texts) {
  await setImmediate(); // as an encoder in its own thread leaves the event loop free
  const data = new Float32Array(texts.length * d);
  for (const [i, text] of texts.entries()) {
    let state = createHash("md5").update(text).digest().readUInt32LE(0);
    for (let c = 0; c < d; c++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      data[i * d + c] = state / 2 ** 31 - 1;
    }
  }
  return { data, shape: [texts.length, d] };
}

const peak = { heap: 0, rss: 0, silenceMs: 0, computingMs: 0 };
function watch() {
  let last = performance.now();
  let used = process.cpuUsage();
  return setInterval(() => {
    const { heapUsed, rss } = process.memoryUsage();
    const now = performance.now();
    peak.heap = Math.max(peak.heap, heapUsed);
    peak.rss = Math.max(peak.rss, rss);
    peak.silenceMs = Math.max(peak.silenceMs, now - last - 50);
    const { user, system } = process.cpuUsage(used);
    // Of other processes' turns nothing.
    peak.computingMs = Math.max(peak.computingMs, Math.min(now - last, (user + system) / 1000) - 50);
    last = now;
    used = process.cpuUsage();
  }, 50);
}

try {
  writeLines("corpus.jsonl", documents, (i) => ({ _id: String(i), title: "", text: textOf(i) }));
  writeLines("queries.jsonl", queries, (i) => ({ _id: `q${i}`, text: `question ${i}` }));
  writeLines("qrels.jsonl", queries, (i) => ({ "query-id": `q${i}`, "corpus-id": String(i), score: 1 }));
  const part = (name) => `{ files: ${name}.jsonl }`;
  writeFileSync(
    path("data.yaml"),
    `corpus-size: { type: Retrieval, corpus: ${part("corpus")}, queries: ${part("queries")}, qrels: ${part("qrels")} }\n`,
  );
  const megabytes = (bytes) => `${Math.round(bytes / 2 ** 20).toLocaleString("en-US")} MiB`;
  console.log(`${documents.toLocaleString("en-US")} documents, ${megabytes(statSync(path("corpus.jsonl")).size)}`);
  const start = performance.now();
  const timer = watch();
  const { outcomes } = await evaluateMteb({
    model: { encode },
    about: { name: "noise" },
    data: path("data.yaml"),
    dataRoot: root,
    out: path("out"),
    cache: !noCache,
  });
  clearInterval(timer);
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  const [{ error, score }] = outcomes;
  console.log(error ? `failed: ${error.message}` : `nDCG@10 ${score} in ${seconds} s`);
  const limit = getHeapStatistics().heap_size_limit;
  console.log(`heap at most ${megabytes(peak.heap)} of ${megabytes(limit)}; process at most ${megabytes(peak.rss)}`);
  console.log(
    `event loop held for at most ${Math.round(peak.silenceMs)} ms, ${Math.round(peak.computingMs)} ms of them by this process`,
  );
  if (error) process.exitCode = 1;
} finally {
  rmSync(root, { recursive: true });
}
