// The soak of `npm run bench -- serve --soak`: a server in a process of its own, for minutes of clients that ask, send what is
// wrong, and go away; in the middle its engine dies. Nothing may be lost: every request is answered as it must be, vectors
// are those of a request alone, and memory, handles, threads and files return.
import { fork } from "node:child_process";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Encoder } from "neobert";
import { serve } from "neobert/serve";
import { median, percentile, realTexts } from "./measure.mjs";

const CLIENTS = 12;
const isServer = process.argv[2] === "--server";

async function runServer(model) {
  const encoder = await Encoder.load(model, { shared: true });
  const server = await serve([{ name: "minilm", encoder }], { port: 0, payloadLimit: 1_000_000 });
  const post = Worker.prototype.postMessage;
  const wanted = {
    async counts() {
      for (let round = 0; round < 3; round++) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      const [threads, files] = ["task", "fd"].map((name) => readdirSync(`/proc/self/${name}`).length);
      const handles = process.getActiveResourcesInfo().length;
      return { mib: process.memoryUsage.rss() / 2 ** 20, handles, threads, files };
    },
    /** The next run's worker gets what it cannot read, and dies of it between two runs: stopped in one it would end the process. */
    kill() {
      Worker.prototype.postMessage = function (...message) {
        Worker.prototype.postMessage = post;
        post.apply(this, message[0]?.batch === undefined ? message : [undefined]);
      };
    },
    async end() {
      await server.close();
      await encoder.dispose();
      process.disconnect();
    },
  };
  process.on("message", async (name) => {
    const answer = await wanted[name]();
    if (name !== "end") process.send({ [name]: answer });
  });
  process.send({ port: Number(new URL(server.url).port) });
}

/** Sends a body; resolves with status and text, or with undefined where the client has gone away after `leaveMs`. */
function send(port, path, body, leaveMs) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request({ port, host: "127.0.0.1", path, method: "POST", headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode, text }));
      response.on("error", (error) => (leaveMs === undefined ? reject(error) : resolve(undefined)));
    });
    sent.on("error", (error) => (leaveMs === undefined ? reject(error) : resolve(undefined)));
    sent.end(body);
    if (leaveMs !== undefined) setTimeout(() => sent.destroy(), leaveMs);
  });
}

/** Runs the soak and prints a line a tenth of it. Throws where an answer is not what it must be. */
export async function runSoak(model, minutes) {
  const child = fork(fileURLToPath(import.meta.url), ["--server", model], { execArgv: ["--expose-gc"] });
  const answers = [];
  child.on("message", (message) => answers.shift()?.(message));
  const next = () => new Promise((resolve) => answers.push(resolve));
  const ask = (name) => {
    child.send(name);
    return next();
  };
  const { port } = await next();
  const texts = realTexts(1, 60).papers.flatMap(({ title, text }) => [title, text]);
  const encoder = await Encoder.load(model);
  const expected = [...(await encoder.encode(texts, { normalize: true }))];
  await encoder.dispose();

  const done = { answered: 0, refused: 0, left: 0 };
  const single = [];
  let furthest = 0;
  const pick = (n) => Math.floor(Math.random() * n);
  const good = async (size) => {
    const from = pick(texts.length - size);
    const begin = performance.now();
    const answer = await send(port, "/embed", JSON.stringify({ inputs: texts.slice(from, from + size) }));
    if (answer.status !== 200) throw new Error(`soak: expected 200, got ${answer.status} ${answer.text.slice(0, 200)}`);
    const vectors = JSON.parse(answer.text);
    if (vectors.length !== size) throw new Error(`soak: expected ${size} vectors, got ${vectors.length}`);
    for (const [i, vector] of vectors.entries()) {
      for (const [k, value] of vector.entries()) furthest = Math.max(furthest, Math.abs(value - expected[from + i][k]));
    }
    if (size === 1) single.push(performance.now() - begin);
    done.answered++;
  };
  const wrong = [
    ["{", [400]],
    ['{"inputs": 5}', [422]],
    ['{"inputs": []}', [400, 422]],
    [`${"[".repeat(5000)}`, [400]],
    [JSON.stringify({ inputs: Array(3000).fill("a") }), [413, 422]],
    [JSON.stringify({ inputs: "a".repeat(1_000_001) }), [413]],
  ];
  const bad = async () => {
    const [body, statuses] = wrong[pick(wrong.length)];
    const { status, text } = await send(port, "/embed", body);
    if (!statuses.includes(status)) throw new Error(`soak: expected ${statuses}, got ${status} ${text.slice(0, 200)}`);
    done.refused++;
  };
  const away = async () => {
    await send(port, "/embed", JSON.stringify({ inputs: texts.slice(0, 64) }), pick(300));
    done.left++;
  };
  const end = performance.now() + minutes * 60_000;
  const client = async () => {
    while (performance.now() < end) {
      const kind = Math.random();
      if (kind < 0.6) await good(1);
      else if (kind < 0.75) await good(1 + pick(32));
      else if (kind < 0.9) await bad();
      else await away();
    }
  };
  const show = async (when) => {
    const { mib, handles, threads, files } = (await ask("counts")).counts;
    console.log(
      `  ${when.padEnd(9)} ${mib.toFixed(0)} MiB, ${handles} handles, ${threads} threads, ${files} files; ${done.answered} answered, ${done.refused} refused, ${done.left} left`,
    );
  };
  await good(1);
  await show("start");
  const watch = (async () => {
    for (let tenth = 1; tenth < 10; tenth++) {
      await new Promise((resolve) => setTimeout(resolve, minutes * 6000));
      if (tenth === 5) await ask("kill");
      await show(`${tenth * 10} %`);
    }
  })();
  await Promise.all([watch, ...Array.from({ length: CLIENTS }, client)]);
  await new Promise((resolve) => setTimeout(resolve, 6000)); // connections that are kept open close
  await show("idle");
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  console.log(
    `  ${/^neobert_requests_in_flight .*/m.exec(metrics)?.[0]}, ${/^neobert_waiting_tokens .*/m.exec(metrics)?.[0]}`,
  );
  console.log(`  a text: p50 ${median(single).toFixed(0)}, p99 ${percentile(single, 0.99).toFixed(0)} ms`);
  console.log(`  largest difference from encode: ${furthest.toExponential(1)}`);
  child.send("end");
  const code = await new Promise((resolve) => child.once("exit", resolve));
  if (code !== 0) throw new Error(`soak: expected the server's end with 0, got ${code}`);
  if (!(furthest < 1e-5)) throw new Error(`soak: expected vectors as encode's, got some ${furthest} away`);
}

if (isServer) await runServer(process.argv[3]);
