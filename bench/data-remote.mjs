// What a run's text costs over HTTP: steps of 65,536 tokens in pieces of 1,024 from a server of this machine that waits 40 ms
// before each answer, against the same shards in a folder; ms a step, and requests and bytes fetched a token. The steps are
// made one after another, as the thread of batches makes them ahead of training.
//   npm run bench -- data-remote
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBatches } from "#neobert/data/index";
import { serveFolder } from "#neobert/data/remote/fixture-server";
import { cores, machine, median, msOf, total } from "./measure.mjs";

const folder = mkdtempSync(join(tmpdir(), "neobert-data-remote-"));
process.env.NEOBERT_CACHE = join(folder, "cache");
const [shards, documentsPerShard, length] = [8, 20_000, 1500];
const tokens = Uint16Array.from({ length: documentsPerShard * length }, (_, index) => 1000 + (index % 20_000));
const offsets = Uint32Array.from({ length: documentsPerShard + 1 }, (_, document) => document * length);
for (let shard = 0; shard < shards; shard++) {
  writeFileSync(join(folder, `tokens-0000${shard}.bin`), tokens);
  writeFileSync(join(folder, `offsets-0000${shard}.bin`), offsets);
}
const sizes = { documents: documentsPerShard, tokens: tokens.length };
const settings = { format: null, column: "text", header: true, split: "file", minTokens: 1, maxTokens: null };
const manifest = {
  ...{ format: "neobert-tokens", version: 1, split: "train", dtype: "uint16", sources: [] },
  ...{ documents: shards * sizes.documents, tokens: shards * sizes.tokens },
  tokenizer: { hash: "bench", vocabSize: 30_522 },
  specialIds: { cls: 1, sep: 2, mask: 3, pad: 4 },
  settings: { ...settings, shardTokens: 2 ** 31, validation: null },
  shards: Array.from({ length: shards }, (_, shard) => ({ ...sizes, sha256: `${shard}` })),
};
writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
const lengthOf = (range) => {
  const [first, last] = range.match(/\d+/g).map(Number);
  return last - first + 1;
};
const server = await serveFolder(folder);
server.behave("slow");

try {
  console.log(`data-remote: ${machine(cores)}`);
  for (const path of [folder, server.url]) {
    const options = { maxLength: 1024, tokensPerStep: 65_536, microBatchTokens: 16_384, seed: 1 };
    const batches = createBatches({ ...options, sources: [{ path, weight: 1 }] });
    await server.seen();
    const times = [];
    let made = 0;
    for (let step = 0; step < 30; step++) times.push(await msOf(() => (made += batches.nextStep().tokens)));
    batches.close();
    const seen = (await server.seen()).filter(({ range }) => range !== undefined);
    const bytes = total(seen.map(({ range }) => lengthOf(range)));
    const perToken = `${((1000 * seen.length) / made).toFixed(2)} requests a 1,000 tokens, ${(bytes / made).toFixed(0)} bytes a token`;
    console.log(`  ${path === folder ? "folder" : "address"}: ${median(times).toFixed(0)} ms a step; ${perToken}`);
  }
} finally {
  await server.close();
  rmSync(folder, { recursive: true });
}
