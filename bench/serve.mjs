// Texts through HTTP against `encode` in the calling process: all-MiniLM-L6-v2, real texts of mixed length, the two taking
// turns. Then the time of one query at a time, with nothing beside it and beside a client that sends all texts over and over.
//   npm run bench -- serve [--rounds=3] [--texts=1000] [--queries=200] [--threads=N]
import { spawn } from "node:child_process";
import { Encoder } from "neobert";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { cores, here, inTurns, machine, msOf, needFiles, optionsOf, percentile, realTexts } from "./measure.mjs";

const { rounds, texts: count, queries, threads } = optionsOf({ rounds: 3, texts: 1000, queries: 200, threads: cores });
const miniLM = await fetchMiniLM();
needFiles(miniLM);
// Titles and whole abstracts in turn.
const texts = realTexts(0, Math.ceil(count / 2))
  .papers.flatMap(({ title, text }) => [title, `${title} ${text}`])
  .slice(0, count);

const bin = here("../packages/neobert/bin/neobert.js");
const child = spawn(process.execPath, [bin, "serve", miniLM, "--port", "0", "--threads", `${threads}`], {
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
const encoder = await Encoder.load(miniLM, { threads });
const ways = {
  "encode, no HTTP": () => encoder.encode(texts, { normalize: true }),
  "one request, JSON": () => inRequests("/embed", tei, texts.length, 1),
  "one request, base64": () => inRequests("/v1/embeddings", openai, texts.length, 1),
  "32 texts a request, 8 at once": () => inRequests("/embed", tei, 32, 8),
  "1 text a request, 32 at once": () => inRequests("/embed", tei, 1, 32),
};
const timed = Object.entries(ways).map(([way, run]) => [way, () => msOf(run)]);
console.log(`${machine(threads)}, ${texts.length} texts, ${rounds} rounds`);
for (const [way, times] of Object.entries(await inTurns(Object.fromEntries(timed), rounds))) {
  const [median, best] = [percentile(times, 0.5), Math.min(...times)].map((ms) =>
    ((1000 * texts.length) / ms).toFixed(0),
  );
  console.log(`${way.padEnd(30)} ${median.padStart(5)} texts/s, best ${best}`);
}

async function queryTimes() {
  const times = [];
  for (let i = 0; i < queries; i++) {
    times.push(await msOf(() => post("/embed", { inputs: texts[(2 * i) % texts.length] })));
  }
  return `p50 ${percentile(times, 0.5).toFixed(1)} ms, p99 ${percentile(times, 0.99).toFixed(1)} ms`;
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
