// One side of bench/encode.mjs: our Encoder in a process of its own. Reads a task a line, answers with a line.
import { createInterface } from "node:readline";
import { Encoder } from "neobert";

const { model, engine, dtype, threads, maxTokens } = JSON.parse(process.argv[2]);
const encoder = await Encoder.load(model, { engine, dtype, threads });
const how = maxTokens ? { maxTokens } : {};
await encoder.encode(["a short text"], how);
console.log("{}");
for await (const line of createInterface({ input: process.stdin })) {
  const { texts, single } = JSON.parse(line);
  const times = [];
  const vectors = [];
  if (single) {
    for (const text of texts) {
      const start = performance.now();
      vectors.push(await encoder.encode(text, how));
      times.push(performance.now() - start);
    }
  } else {
    const start = performance.now();
    vectors.push(...(await encoder.encode(texts, how)));
    times.push(performance.now() - start);
  }
  const peakMB = process.resourceUsage().maxRSS / 1024;
  console.log(JSON.stringify({ times, peakMB, vectors: vectors.slice(0, 20).map((vector) => [...vector]) }));
}
await encoder.dispose();
