// What is left behind by long use: memory, handles, threads and open files after many encodes, steps, loads and aborted calls.
//   npm run bench -- wear [--encodes 100000] [--steps 2000] [--loads 200] [--aborts 1000] [--part NAME]
// Each part runs in a process of its own and is measured after a collection of garbage: after its warm-up (a tenth of it), in
// its middle and at its end. Models are tiny, so that what grows is not lost in what a model holds.

import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { wordsText, writeSmallModel } from "#neobert/encoder/fixture-encoder";
import { Encoder } from "#neobert/index";
import { smallRun, writePreparedFolder } from "#neobert/train/fixture-train";
import { runLoop } from "#neobert/train/loop/loop";
import { pretraining } from "#neobert/train/pretrain/pretrain-task";
import { optionsOf } from "./measure.mjs";

const {
  encodes,
  steps,
  loads,
  aborts,
  part: only,
} = optionsOf({ encodes: 100_000, steps: 2000, loads: 200, aborts: 1000, part: undefined });

const countIn = (folder) => readdirSync(folder).length;
async function measure() {
  for (let round = 0; round < 3; round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return [
    (process.memoryUsage.rss() / 2 ** 20).toFixed(0),
    process.getActiveResourcesInfo().length,
    countIn("/proc/self/task"),
    countIn("/proc/self/fd"),
  ];
}

function print(part, done, [rss, handles, threads, files]) {
  const cells = [part.padEnd(16), String(done).padStart(9), `${rss} MiB`.padStart(9)];
  console.log([...cells, ...[handles, threads, files].map((value) => String(value).padStart(8))].join(" "));
}

/** Runs `once(number)` so many times, each of so many calls, and measures at a tenth, at the half and at the end. */
async function repeated(part, times, once, calls = 1) {
  const places = [0.1, 0.5, 1].map((share) => Math.ceil(share * times));
  for (let i = 1; i <= times; i++) {
    await once(i);
    if (places.includes(i)) print(part, i * calls, await measure());
  }
}

async function withEncoder(engine, use) {
  const folder = await writeSmallModel();
  const encoder = await Encoder.load(folder, { engine, threads: 1 });
  await use(encoder);
  await encoder.dispose();
  rmSync(folder, { recursive: true });
}

/** Ten calls at once, as a server has them. */
const encodeIn = (engine) => () =>
  withEncoder(engine, (encoder) => {
    const calls = (round) => Array.from({ length: 10 }, (_, i) => encoder.encode(wordsText(5 + i, round % 50)));
    return repeated(`encode ${engine}`, encodes / 10, (round) => Promise.all(calls(round)), 10);
  });

const loadIn = (engine) => async () => {
  const folder = await writeSmallModel();
  await repeated(`load ${engine}`, loads, async () => {
    const encoder = await Encoder.load(folder, { engine, threads: 1 });
    await encoder.encode("the house");
    await encoder.dispose();
  });
  rmSync(folder, { recursive: true });
};

const parts = {
  "encode-onnx": encodeIn("onnx"),
  "encode-torch": encodeIn("torch"),
  async train() {
    const root = await writePreparedFolder();
    const config = smallRun(root, "run", `steps=${steps}`, "tokensPerStep=256", "microBatchTokens=256");
    const places = [0.1, 0.5, 1].map((share) => Math.ceil(share * steps));
    const pending = [];
    await runLoop(pretraining(config), {
      onStep: ({ step }) => {
        if (!places.includes(step)) return;
        globalThis.gc();
        pending.push(measure().then((measured) => print("train steps", step, measured)));
      },
    });
    await Promise.all(pending);
    print("train, ended", steps, await measure());
    rmSync(root, { recursive: true });
  },
  "load-onnx": loadIn("onnx"),
  "load-torch": loadIn("torch"),
  abort: () =>
    withEncoder("onnx", (encoder) =>
      repeated("aborted calls", aborts, async (i) => {
        const abort = new AbortController();
        const texts = Array.from({ length: 20 }, (_, seed) => wordsText(20, seed));
        const call = encoder.encode(texts, { signal: abort.signal });
        if (i % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
        abort.abort();
        await call.then(
          () => {},
          (error) => {
            if (error.name !== "AbortError") throw error;
          },
        );
      }),
    ),
};

if (only !== undefined) await parts[only]();
else {
  console.log(`${"part".padEnd(16)} ${"done".padStart(9)} ${"memory".padStart(9)}  handles  threads    files`);
  const own = fileURLToPath(import.meta.url);
  for (const part of Object.keys(parts)) {
    const given = process.argv.slice(2);
    const { status } = spawnSync(process.execPath, ["--expose-gc", own, ...given, "--part", part], {
      stdio: "inherit",
    });
    if (status !== 0) process.exitCode = 1;
  }
}
