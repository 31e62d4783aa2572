// Calls that meet in the engine's queue, with all-MiniLM-L6-v2 on real texts: p50 and p99 of one text at a time; 64 calls of one
// text at once against one call of 64; what the bound of a run's time (maxRunMs) costs where calls share the engine; the
// longest pause of the event loop while many texts, or one of 1 MB, are encoded. The two sides of a ratio take turns, and
// the ratio is the median over the turns. Time in which the main thread waited for a core that others used is not a pause.
//   npm run bench -- queue [alone|together|bound|pause ...] [--engines=onnx,torch] [--rounds=12]
import { existsSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { Encoder } from "neobert";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { cores, inTurns, machine, median, msOf, needFiles, optionsOf, percentile, realTexts } from "./measure.mjs";

const parts = { alone, together, bound, pause };
const { names, engines, rounds } = optionsOf({ engines: "onnx,torch", rounds: 12 }, Object.keys(parts));
const model = await fetchMiniLM();
needFiles(model);
const { sentences, abstracts } = realTexts(640, 2000);
const mixed = sentences.map((sentence, i) => (i % 4 === 0 ? abstracts[i] : sentence));

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
  const sides = {
    "64 calls": (round) => msOf(() => Promise.all(texts(round + 1).map((text) => encoder.encode([text])))),
    "1 call": (round) => msOf(() => encoder.encode(texts(round + 1))),
  };
  const times = await inTurns(sides, rounds);
  const ratios = times["1 call"].map((ms, round) => ms / times["64 calls"][round]);
  const [many, one] = [median(times["64 calls"]), median(times["1 call"])];
  console.log(
    `  64 calls of a text at once: ${median(ratios).toFixed(2)} of the throughput of a call of 64 (${many.toFixed(1)} against ${one.toFixed(1)} ms)`,
  );
}

async function bound(encoder, options) {
  const unbound = await Encoder.load(model, { ...options, maxRunMs: Number.POSITIVE_INFINITY });
  const lists = Array.from({ length: 8 }, (_, call) => mixed.filter((_, i) => i % 8 === call).slice(0, 16));
  const calls = (own) => () => msOf(() => Promise.all(lists.map((texts) => own.encode(texts))));
  const times = await inTurns({ bound: calls(encoder), unbound: calls(unbound) }, rounds);
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

console.log(`${machine(cores)}, load ${loadavg()[0].toFixed(1)}; ${rounds} rounds`);
for (const engine of engines.split(",")) {
  console.log(`engine ${engine}`);
  const encoder = await Encoder.load(model, { engine });
  for (const name of names) await parts[name](encoder, { engine });
  await encoder.dispose();
}
