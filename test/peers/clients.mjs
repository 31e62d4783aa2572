// The clients that people have, of npm and PyPI, against a server of ours: MiniLM (or a small model where it cannot be fetched)
// and a ranker. Each client has a line of its own where it fails.
//   node test/peers/clients.mjs FOLDER NPM_FOLDER PYTHON   (compile first)
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CrossEncoder, Encoder } from "neobert";
import { serve } from "neobert/serve";
import { wordsText, writeSmallModel } from "#neobert/encoder/fixture-encoder";
import { fetchMiniLM } from "../../tools/minilm.mjs";
import { succeed } from "./environments.mjs";

const [folder, npm, python] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const key = "a-key";
// Each length once, and what a text may hold.
const texts = [
  ...Array.from({ length: 20 }, (_, i) => wordsText(1 + 2 * i, i)),
  "war and peace, in 2 parts: naïve café 北京 🙂",
  'Two  spaces and a quote"s \\ mark',
];
const query = "law and peace";

const encoder = await Encoder.load((await fetchMiniLM()) ?? (await writeSmallModel()));
const reranker = await CrossEncoder.load(
  await writeSmallModel({ head: "sequenceClassification", config: { id2label: { 0: "A" } } }),
);
const models = [
  { name: "minilm", encoder },
  { name: "rank", reranker },
];
const options = { port: 0, apiKeys: [key] };
const [own, rank, cl100k] = await Promise.all([
  serve(models, options),
  serve(models.slice(1), options),
  serve(models, { ...options, tokenIds: "cl100k" }),
]);

const expected = await encoder.encode(texts, { normalize: true });
const vectors = texts.map((_, i) => Array.from(expected.row(i)));
const scores = Array.from(await reranker.scores(texts.map((text) => [query, text])));
const caseFile = join(folder, "case.json");
writeFileSync(
  caseFile,
  JSON.stringify({ url: own.url, rankUrl: rank.url, cl100kUrl: cl100k.url, key, texts, vectors, query, scores }),
);

try {
  // Nothing goes out: what would ask the Hub asks here, and gets 404.
  const env = { CLIENT_KEY: key, HF_ENDPOINT: own.url, TIKTOKEN_CACHE_DIR: await tiktokenCache(), TQDM_DISABLE: "1" };
  const lines = [];
  for (const [program, script] of [
    [process.execPath, join(npm, "node.mjs")],
    [python, join(here, "clients.py")],
  ]) {
    lines.push((await succeed(program, [script, caseFile], { env })).split("\n").at(-1));
  }
  console.log(lines.join("; "));
} finally {
  await Promise.all([own.close(), rank.close(), cl100k.close()]);
  await Promise.all([encoder.dispose(), reranker.dispose()]);
}

/** The folder in which tiktoken looks for its ranks before it would fetch them: those that js-tiktoken brings. */
async function tiktokenCache() {
  const { default: ranks } = await import("js-tiktoken/ranks/cl100k_base");
  const lines = ranks.bpe_ranks.split("\n").flatMap((line) => {
    const [, first, ...tokens] = line.split(" ");
    return tokens.map((token, i) => `${token} ${Number(first) + i}\n`);
  });
  const cache = join(folder, "tiktoken");
  mkdirSync(cache, { recursive: true });
  const address = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken";
  writeFileSync(join(cache, createHash("sha1").update(address).digest("hex")), lines.join(""));
  return cache;
}
