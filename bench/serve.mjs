// Texts through HTTP against `encode` in the calling process and against infinity: throughput, waiting, overload, a soak.
//   npm run bench -- serve [throughput|latency|overload ...] [--rounds=3] [--texts=600] [--queries=200] [--threads=N]
//     [--seconds=10] [--infinity=PROGRAM] [--engine=optimum]
//   npm run bench -- serve --soak [--minutes=10]
// all-MiniLM-L6-v2 in float32, SciFact's titles and abstracts in turn; the servers take turns, and an idle one costs nothing.
// Loads other than throughput's are open: requests come at times drawn beforehand, whether the last was answered or not, and
// a time counts from then. PROGRAM is infinity_emb 0.0.78 (Python 3.11, numpy < 2, sentence-transformers < 4, transformers
// < 4.50, optimum < 1.25, datasets < 3.3, pyarrow < 19, typer < 0.13, click < 8.2).
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Encoder } from "neobert";
import { exportOnnx } from "neobert/export";
import { fetchMiniLM } from "../tools/minilm.mjs";
import * as measure from "./measure.mjs";

const { here, inTurns, machine, median, msOf, percentile, realTexts, total } = measure;
const parts = { throughput, latency, overload };
const {
  names,
  rounds,
  texts: count,
  queries,
  threads,
  seconds,
  infinity,
  engine,
  soak,
  minutes,
} = measure.optionsOf(
  {
    rounds: 3,
    texts: 600,
    queries: 200,
    threads: measure.cores,
    seconds: 10,
    infinity: undefined,
    engine: "optimum",
    soak: false,
    minutes: 10,
  },
  Object.keys(parts),
);
const miniLM = await fetchMiniLM();
measure.needFiles(miniLM);
if (soak) {
  const { runSoak } = await import("./serve-soak.mjs");
  await runSoak(miniLM, minutes);
  process.exit();
}
const { papers } = realTexts(1, count);
const titles = papers.map(({ title }) => title);
const texts = papers.flatMap(({ title, text }) => [title, `${title} ${text}`]).slice(0, count);
const BULK = 256;
/** Seconds that a request may wait in our server under overload. */
const DEADLINE = 2;

/** A server's process and address. `path` takes OpenAI's bodies. */
async function start(name, program, args, ready, path) {
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, HF_HUB_OFFLINE: "1", DO_NOT_TRACK: "1", INFINITY_ANONYMOUS_USAGE_STATS: "0" },
  });
  let out = "";
  const port = await new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`${name} ended with ${code}\n${out.slice(-2000)}`)));
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        out = (out + chunk).slice(-10_000);
        const found = ready.exec(out);
        if (found) resolve(Number(found[1]));
      });
    }
  });
  child.removeAllListeners("exit");
  return { name, child, port, path, agent: new Agent({ keepAlive: true, maxSockets: 1024 }) };
}

/** Status of the answer to texts, and milliseconds since `since`. */
function ask({ port, path, agent }, input, since = performance.now()) {
  const body = JSON.stringify({ input, model: "minilm", encoding_format: "base64", truncate_prompt_tokens: -1 });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return new Promise((resolve) => {
    const sent = request({ port, host: "127.0.0.1", path, method: "POST", headers, agent }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode, ms: performance.now() - since }));
      response.on("error", () => resolve({ status: 0, ms: performance.now() - since }));
    });
    sent.on("error", () => resolve({ status: 0, ms: performance.now() - since }));
    sent.end(body);
  });
}

const must = async (answer) => {
  const { status, ms } = await answer;
  if (status !== 200) throw new Error(`expected 200, got ${status}`);
  return ms;
};

/** Requests whose times are drawn beforehand, `perSecond` on average, the same for every server. */
async function openLoad(server, perSecond, requests, inputOf) {
  const answers = [];
  const begin = performance.now();
  for (let i = 0, at = 0, state = 7; i < requests; i++) {
    state = (1103515245 * state + 12345) % 2 ** 31;
    at += (-Math.log(1 - state / 2 ** 31) * 1000) / perSecond;
    const early = begin + at - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    answers.push(ask(server, inputOf(i), begin + at));
  }
  return { answers: await Promise.all(answers), ms: performance.now() - begin };
}

/** Seconds of processor time and MiB that a process has taken, its children's too. */
function usage({ child: { pid } }) {
  const cells = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mib = (field) => Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)[1]) / 1024;
  return { seconds: total(cells.slice(11, 15).map(Number)) / 100, mib: mib("VmRSS"), peak: mib("VmHWM") };
}

const times = (list) =>
  [0.5, 0.95, 0.99].map((share) => `p${share * 100} ${percentile(list, share).toFixed(1)}`).join(", ");

async function inRequests(server, size, atOnce) {
  const waiting = Array.from({ length: Math.ceil(texts.length / size) }, (_, i) =>
    texts.slice(i * size, i * size + size),
  );
  const worker = async () => {
    for (let part = waiting.shift(); part; part = waiting.shift()) await must(ask(server, part));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function throughput(servers) {
  const encoder = await Encoder.load(miniLM, { threads });
  const sides = { "encode, no HTTP": () => encoder.encode(texts, { normalize: true }) };
  for (const server of servers) {
    sides[`${server.name}, 32 texts, 8 at once`] = () => inRequests(server, 32, 8);
    sides[`${server.name}, 1 text, 32 at once`] = () => inRequests(server, 1, 32);
  }
  const timed = Object.entries(sides).map(([side, run]) => [side, () => msOf(run)]);
  const before = servers.map(usage);
  for (const [side, ms] of Object.entries(await inTurns(Object.fromEntries(timed), rounds))) {
    const [middle, best] = [median(ms), Math.min(...ms)].map((one) => ((1000 * texts.length) / one).toFixed(0));
    console.log(`  ${side.padEnd(34)} ${middle.padStart(5)} texts/s, best ${best}`);
  }
  for (const [i, server] of servers.entries()) {
    const { seconds, peak } = usage(server);
    const each = (1e6 * (seconds - before[i].seconds)) / (2 * (rounds + 1) * texts.length);
    console.log(
      `  ${server.name.padEnd(34)} ${each.toFixed(0).padStart(5)} ms of processor a 1,000 texts, peak ${peak.toFixed(0)} MiB`,
    );
  }
  await encoder.dispose();
}

async function latency(servers) {
  const perSecond = 10;
  const single = async (server) => {
    const { answers } = await openLoad(server, perSecond, queries, (i) => titles[i % titles.length]);
    return times(await Promise.all(answers.map(must)));
  };
  const beside = async (server) => {
    let isOn = true;
    let sent = 0;
    const bulk = (async () => {
      for (; isOn; sent++) await must(ask(server, texts.slice(0, BULK)));
    })();
    const got = await single(server);
    isOn = false;
    await bulk;
    return `${got}; ${sent} bulk requests`;
  };
  for (const round of ["first", "second"]) {
    for (const server of servers) {
      await must(ask(server, texts.slice(0, BULK)));
      console.log(`  ${server.name}, a title, ${perSecond} a second, ${round}: ${await single(server)} ms`);
      console.log(`  ${server.name}, beside ${BULK} texts over and over:  ${await beside(server)} ms`);
    }
  }
}

async function overload(servers) {
  const size = 8;
  for (const server of servers) {
    for (let i = 0; i < 8; i++) await must(ask(server, texts.slice(8 * i, 8 * i + 8))); // its rate is learnt
    const runs = [await msOf(() => inRequests(server, size, 4)), await msOf(() => inRequests(server, size, 4))];
    const ms = Math.min(...runs);
    const saturation = (1000 * texts.length) / ms;
    const perSecond = (2 * saturation) / size;
    const before = usage(server);
    const partOf = (i) => Array.from({ length: size }, (_, k) => texts[(i * size + k) % texts.length]);
    const { answers, ms: taken } = await openLoad(server, perSecond, Math.ceil(perSecond * seconds), partOf);
    const good = answers.filter(({ status, ms }) => status === 200 && ms <= DEADLINE * 1000 + 100);
    const other = groupBy(answers);
    const statuses = Object.entries(other).map(([status, list]) => `${list.length} x ${status}`);
    const okay = answers.filter(({ status }) => status === 200).map(({ ms }) => ms);
    const goodput = ((1000 * size * good.length) / taken / saturation).toFixed(2);
    console.log(
      `  ${server.name}: ${statuses.join(", ")}; within ${DEADLINE} s ${goodput} of ${saturation.toFixed(0)} texts/s`,
    );
    console.log(`    accepted: ${times(okay)} ms; ${before.mib.toFixed(0)} to ${usage(server).mib.toFixed(0)} MiB`);
  }
}

function groupBy(answers) {
  const groups = {};
  for (const answer of answers) (groups[answer.status] ??= []).push(answer);
  return groups;
}

let folder;
async function startAll(ownArgs) {
  const bin = here("../packages/neobert/bin/neobert.js");
  const own = [bin, "serve", miniLM, "--port", "0", "--threads", `${threads}`, "--json-output", ...ownArgs];
  const servers = [await start("ours", process.execPath, own, /127\.0\.0\.1:(\d+): ready/, "/v1/embeddings")];
  if (!infinity) return servers;
  if (!folder) {
    folder = mkdtempSync(join(tmpdir(), "infinity-"));
    cpSync(miniLM, folder, { recursive: true });
    const exported = join(folder, "exported");
    await exportOnnx(miniLM, exported);
    cpSync(join(exported, "onnx"), join(folder, "onnx"), { recursive: true });
  }
  const args = ["v2", "--model-id", folder, "--served-model-name", "minilm", "--engine", engine, "--device", "cpu"];
  const more = ["--port", "7997", "--url-prefix", "/v1", "--no-model-warmup"];
  const ready = /running on http:\/\/[\d.]+:(\d+)/;
  return [...servers, await start(`infinity ${engine}`, infinity, [...args, ...more], ready, "/v1/embeddings")];
}

console.log(`${machine(threads)}, ${texts.length} texts, ${rounds} rounds`);
for (const name of names) {
  const servers = await startAll(name === "overload" ? ["--queue-timeout", `${DEADLINE}`] : []);
  try {
    for (const server of servers) await must(ask(server, titles.slice(0, 64)));
    console.log(name);
    await parts[name](servers);
  } finally {
    for (const { child, agent } of servers) {
      agent.destroy();
      child.kill("SIGTERM");
      await new Promise((resolve) => child.once("exit", resolve));
    }
  }
}
if (folder) rmSync(folder, { recursive: true });
