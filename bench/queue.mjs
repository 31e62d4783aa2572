// Calls that meet in the engine's queue, with all-MiniLM-L6-v2 on real texts: p50 and p99 of one text at a time; 64 calls of one
// text at once against one call of 64; what the bound of a run's time (maxRunMs) costs where calls share the engine; the
// longest pause of the event loop while many texts, or one of 1 MB, are encoded. The two sides of a ratio take turns, and
// the ratio is the median over the turns. Time in which the main thread waited for a core that others used is not a pause.
//   npm run bench -- queue [alone|together|bound|pause ...] [--engines=onnx,torch] [--rounds=12]
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";
import { Encoder } from "neobert";
import { fetchMiniLM } from "../tools/minilm.mjs";

const { values, positionals } = parseArgs({
  options: { engines: { type: "string", default: "onnx,torch" }, rounds: { type: "string", default: "12" } },
  allowPositionals: true,
});
const rounds = Number(values.rounds);
const parts = { alone, together, bound, pause };
const wanted = positionals.length > 0 ? positionals : Object.keys(parts);
const unknown = wanted.find((name) => !parts[name]);
if (unknown) throw new Error(`bench queue: expected one of ${Object.keys(parts).join(", ")}, got ${unknown}`);
const shared = (path) => fileURLToPath(new URL(`../../shared/data/${path}`, import.meta.url));
const [sts, scifact] = [shared("stsb/stsb-en-test.csv"), shared("scifact/corpus.jsonl.gz")];
const model = await fetchMiniLM();
if (!model || !existsSync(sts) || !existsSync(scifact)) {
  console.log("Skipped: all-MiniLM-L6-v2 or the texts in ../shared/data are absent.");
  process.exit(0);
}
const sentences = readFileSync(sts, "utf8")
  .split("\n")
  .slice(0, 640)
  .map((line) => /^(?:"((?:[^"]|"")*)"|([^,]*)),/.exec(line)?.slice(1).find(Boolean) ?? line);
const abstracts = gunzipSync(readFileSync(scifact))
  .toString()
  .split("\n", 2000)
  .map((line) => JSON.parse(line))
  .map(({ title, text }) => `${title} ${text}`);
const mixed = sentences.map((sentence, i) => (i % 4 === 0 ? abstracts[i] : sentence));

const sorted = (list) => [...list].sort((a, b) => a - b);
const median = (list) => sorted(list)[list.length >> 1];
const percentile = (list, share) => sorted(list)[Math.min(list.length - 1, Math.floor(share * list.length))];
async function msOf(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds of each side and round, the sides taking turns, each first every other time; a first round warms up. */
async function inTurns(sides) {
  const times = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = -1; round < rounds; round++) {
    const order = Object.keys(sides);
    for (const side of round % 2 === 0 ? order : order.reverse()) {
      const ms = await msOf(() => sides[side](round + 1));
      if (round >= 0) times[side].push(ms);
    }
  }
  return times;
}

async function alone(encoder) {
  const times = [];
  for (let i = -50; i < 40 * rounds; i++) {
    const ms = await msOf(() => encoder.encode(sentences.at(i % sentences.length)));
    if (i >= 0) times.push(ms);
  }
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(times, share).toFixed(2));
  console.log(`  one text at a time: p50 ${p50} p99 ${p99} ms (${times.length} sentences)`);
}

async function together(encoder) {
  const texts = (round) => Array.from({ length: 64 }, (_, i) => sentences[(64 * round + i) % sentences.length]);
  const times = await inTurns({
    "64 calls": (round) => Promise.all(texts(round).map((text) => encoder.encode([text]))),
    "1 call": (round) => encoder.encode(texts(round)),
  });
  const ratios = times["1 call"].map((ms, round) => ms / times["64 calls"][round]);
  const [many, one] = [median(times["64 calls"]), median(times["1 call"])];
  console.log(
    `  64 calls of a text at once: ${median(ratios).toFixed(2)} of the throughput of a call of 64 (${many.toFixed(1)} against ${one.toFixed(1)} ms)`,
  );
}

async function bound(encoder, options) {
  const unbound = await Encoder.load(model, { ...options, maxRunMs: Number.POSITIVE_INFINITY });
  const lists = Array.from({ length: 8 }, (_, call) => mixed.filter((_, i) => i % 8 === call).slice(0, 16));
  const calls = (own) => () => Promise.all(lists.map((texts) => own.encode(texts)));
  const times = await inTurns({ bound: calls(encoder), unbound: calls(unbound) });
  await unbound.dispose();
  const ratios = times.unbound.map((ms, round) => ms / times.bound[round]);
  const got = `${median(times.bound).toFixed(0)} against ${median(times.unbound).toFixed(0)} ms`;
  console.log(
    `  8 calls of 16 mixed texts, runs of 25 ms: ${median(ratios).toFixed(2)} of the throughput of unbound runs (${got})`,
  );
}

/** What the main thread has computed and what it has waited for a core, in ms; zeros where the system does not tell. */
function mainThreadMs() {
  const stat = `/proc/${process.pid}/schedstat`;
  const [ran, waited] = existsSync(stat) ? readFileSync(stat, "utf8").split(" ").map(Number) : [0, 0];
  return { ran: ran / 1e6, waited: waited / 1e6 };
}

/** Longest time between two turns of the event loop during `work`: by the clock, and less the waits for a core. */
async function pausesOf(work) {
  let [last, before] = [performance.now(), mainThreadMs()];
  const longest = { clock: 0, own: 0 };
  const tick = () => {
    const [now, state] = [performance.now(), mainThreadMs()];
    longest.clock = Math.max(longest.clock, now - last);
    longest.own = Math.max(longest.own, now - last - (state.waited - before.waited));
    [last, before] = [now, state];
  };
  const timer = setInterval(tick, 1);
  const ms = await msOf(work);
  tick();
  clearInterval(timer);
  return { ms, ...longest };
}

async function pause(encoder) {
  const short = Array.from({ length: 20_000 }, (_, i) => `${i} ${sentences[i % sentences.length]}`);
  const one = abstracts.join(" ").slice(0, 1_000_000);
  // Few tokens, so that the engine is soon done: the main thread's work is the same, but for that.
  const how = { maxTokens: 4 };
  const works = {
    nothing: () => new Promise((resolve) => setTimeout(resolve, 2000)),
    "20,000 short texts": () => encoder.encode(short, how),
    "2,000 long texts": () => encoder.encode(abstracts, how),
    "64 calls of 200 texts": () =>
      Promise.all(Array.from({ length: 64 }, (_, i) => encoder.encode(short.slice(200 * i, 200 * i + 200), how))),
    "one text of 1 MB": () => encoder.encode([one], how),
    "tokens of 2,000 long texts": () => encoder.tokens(abstracts, how),
  };
  console.log("  longest pause of the event loop, ms (and by the clock), two rounds:");
  for (const [name, work] of Object.entries(works)) {
    const [a, b] = [await pausesOf(work), await pausesOf(work)];
    const shown = [a, b].map(({ own, clock }) => `${own.toFixed(1)} (${clock.toFixed(1)})`).join(", ");
    console.log(`    ${name.padEnd(28)}${shown}   in ${Math.min(a.ms, b.ms).toFixed(0)} ms`);
  }
}

console.log(
  `${cpus()[0].model}, ${availableParallelism()} cores, load ${loadavg()[0].toFixed(1)}, Node ${process.version}; ${rounds} rounds`,
);
for (const engine of values.engines.split(",")) {
  console.log(`engine ${engine}`);
  const encoder = await Encoder.load(model, { engine });
  for (const name of wanted) await parts[name](encoder, { engine });
  await encoder.dispose();
}
