// What the order of a run's text costs with a thousand million documents (--documents): memory a document, the seconds until
// the first step, and of each step of 2M tokens, of shards whose offsets are real files (4 bytes a document, --folder) and
// whose tokens are empty sparse ones of the size that the documents say.
//   npm run bench -- data-order [--documents 1e9] [--max-length 512] [--folder /tmp]
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createBatches } from "#neobert/data/index";
import { cores, machine, median, msOf, optionsOf, peakMB } from "./measure.mjs";

const {
  documents,
  "max-length": maxLength,
  steps,
  folder: parent,
} = optionsOf({
  documents: 1e9,
  "max-length": 512,
  steps: 20,
  folder: tmpdir(),
});
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
/** Of the heap and of typed arrays, after what is no longer needed has gone. */
function keptBytes() {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
const documentsPerShard = 1_000_000;
const folder = mkdtempSync(join(parent, "neobert-data-order-"));
const shards = [];
for (let shard = 0; shard * documentsPerShard < documents; shard++) {
  const here = Math.min(documentsPerShard, documents - shard * documentsPerShard);
  const offsets = new Uint32Array(here + 1);
  let state = shard + 1;
  for (let document = 0; document < here; document++) {
    // Lengths like those of web pages: log-normal, median 600 tokens, mean 1,500 (from three uniform draws).
    let normal = -1.5;
    for (let draw = 0; draw < 3; draw++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      normal += state / 2 ** 32;
    }
    offsets[document + 1] = offsets[document] + 1 + Math.floor(600 * Math.exp(2.7 * normal));
  }
  const number = String(shard).padStart(5, "0");
  writeFileSync(join(folder, `offsets-${number}.bin`), offsets);
  const tokens = join(folder, `tokens-${number}.bin`);
  closeSync(openSync(tokens, "w"));
  truncateSync(tokens, 2 * offsets[here]);
  shards.push({ documents: here, tokens: offsets[here], sha256: number });
}
const settings = { format: null, column: "text", header: true, split: "file", minTokens: 1, maxTokens: null };
const tokens = shards.reduce((sum, shard) => sum + shard.tokens, 0);
writeFileSync(
  join(folder, "manifest.json"),
  JSON.stringify({
    ...{
      format: "neobert-tokens",
      version: 1,
      split: "train",
      dtype: "uint16",
      documents,
      tokens,
      shards,
      sources: [],
    },
    tokenizer: { hash: "bench", vocabSize: 30_522 },
    specialIds: { cls: 1, sep: 2, mask: 3, pad: 4 },
    settings: { ...settings, shardTokens: 2 ** 31, validation: null },
  }),
);

try {
  const options = { sources: [{ path: folder, weight: 1 }], maxLength, microBatchTokens: 16_384, seed: 1 };
  const before = keptBytes();
  let batches;
  const openMs = await msOf(() => {
    batches = createBatches({ ...options, tokensPerStep: 2_097_152 });
  });
  const kept = keptBytes() - before;
  const times = [];
  let pieces = 0;
  for (let step = 0; step < steps; step++) {
    let batch;
    times.push(await msOf(() => (batch = batches.nextStep())));
    for (const microBatch of batch.microBatches) pieces += microBatch.pieces.length / 3;
  }
  batches.close();
  console.log(`data-order: ${machine(cores)}; ${documents} documents, ${tokens} tokens, pieces of ${maxLength}`);
  console.log(`  ${(kept / documents).toFixed(3)} bytes a document kept, ${peakMB().toFixed(0)} MB resident at most`);
  console.log(`  first step after ${((openMs + times[0]) / 1000).toFixed(1)} s`);
  console.log(`  a step of 2,097,152 tokens: ${median(times).toFixed(0)} ms (${Math.round(pieces / steps)} pieces)`);
} finally {
  rmSync(folder, { recursive: true });
}
