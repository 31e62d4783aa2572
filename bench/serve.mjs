// Texts through HTTP against `encode` in the calling process: all-MiniLM-L6-v2, real texts of mixed length, the two taking
// turns. Then the time of one query at a time, with nothing beside it and beside a client that sends all texts over and over.
//   npm run bench -- serve [--rounds=3] [--texts=1000] [--queries=200] [--threads=N]
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { Encoder } from "neobert";
import { fetchMiniLM } from "../tools/minilm.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    texts: { type: "string", default: "1000" },
    queries: { type: "string", default: "200" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const [rounds, count, queries] = [Number(values.rounds), Number(values.texts), Number(values.queries)];
const miniLM = await fetchMiniLM();
const corpus = fileURLToPath(new URL("../../shared/data/scifact/corpus.jsonl.gz", import.meta.url));
if (!miniLM || !existsSync(corpus)) {
  console.log("Skipped: all-MiniLM-L6-v2 or ../shared/data/scifact is absent.");
  process.exit(0);
}
// Titles and whole abstracts in turn.
const texts = gunzipSync(readFileSync(corpus))
  .toString()
  .split("\n", Math.ceil(count / 2))
  .flatMap((line) => {
    const { title, text } = JSON.parse(line);
    return [title, `${title} ${text}`];
  })
  .slice(0, count);

const bin = fileURLToPath(new URL("../packages/neobert/bin/neobert.js", import.meta.url));
const child = spawn(process.execPath, [bin, "serve", miniLM, "--port", "0", "--threads", values.threads], {
  stdio: ["ignore", "pipe", "inherit"],
});
const url = await new Promise((resolve, reject) => {
  let out = "";
  child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
  child.stdout.on("data", (chunk) => {
    out += chunk;
    const ready = /^(http:\S+): ready/m.exec(out);
    if (ready) resolve(ready[1]);
  });
});
child.removeAllListeners("exit");

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** All texts in requests of `size`, `atOnce` of them at a time. */
async function inRequests(path, bodyOf, size, atOnce) {
  const parts = Array.from({ length: Math.ceil(texts.length / size) }, (_, i) => texts.slice(i * size, (i + 1) * size));
  const worker = async () => {
    for (let part = parts.shift(); part; part = parts.shift()) await post(path, bodyOf(part));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

const openai = (input) => ({ input, model: "minilm", encoding_format: "base64", truncate_prompt_tokens: -1 });
const tei = (inputs) => ({ inputs });
const encoder = await Encoder.load(miniLM, { threads: Number(values.threads) });
const ways = {
  "encode, no HTTP": () => encoder.encode(texts, { normalize: true }),
  "one request, JSON": () => inRequests("/embed", tei, texts.length, 1),
  "one request, base64": () => inRequests("/v1/embeddings", openai, texts.length, 1),
  "32 texts a request, 8 at once": () => inRequests("/embed", tei, 32, 8),
  "1 text a request, 32 at once": () => inRequests("/embed", tei, 1, 32),
};
const seconds = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
for (let round = -1; round < rounds; round++) {
  for (const [way, run] of Object.entries(ways)) {
    const start = performance.now();
    await run();
    if (round >= 0) seconds[way].push((performance.now() - start) / 1000); // the first warms up
  }
}
const rank = (list, share) => list.toSorted((a, b) => a - b)[Math.floor(share * (list.length - 1))];
console.log(`${cpus()[0].model}, ${values.threads} threads, ${texts.length} texts, ${rounds} rounds`);
for (const [way, times] of Object.entries(seconds)) {
  const [median, best] = [rank(times, 0.5), Math.min(...times)].map((time) => (texts.length / time).toFixed(0));
  console.log(`${way.padEnd(30)} ${median.padStart(5)} texts/s, best ${best}`);
}

async function queryTimes() {
  const times = [];
  for (let i = 0; i < queries; i++) {
    const start = performance.now();
    await post("/embed", { inputs: texts[(2 * i) % texts.length] });
    times.push(performance.now() - start);
  }
  return `p50 ${rank(times, 0.5).toFixed(1)} ms, p99 ${rank(times, 0.99).toFixed(1)} ms`;
}
console.log(`one title at a time            ${await queryTimes()}`);
let isBulk = true;
const bulk = (async () => {
  while (isBulk) await post("/embed", tei(texts));
})();
console.log(`beside a client of all texts   ${await queryTimes()}`);
isBulk = false;
await bulk;
child.kill("SIGTERM");
await encoder.dispose();
