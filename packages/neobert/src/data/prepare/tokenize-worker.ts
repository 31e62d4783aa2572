// Worker entry: turns batches of texts into token ids. The tokenizer is loaded once, from the folder in workerData; ids
// go back in the shards' own type, transferred.
import { parentPort, workerData } from "node:worker_threads";
import { loadTokenizer } from "../../tokenizer/index.js";
import { newTokenArray, tokenType } from "../manifest.js";
import type { TokenizedBatch, TokenizeRequest } from "./tokenize-pool.js";

const tokenizer = loadTokenizer((workerData as { tokenizer: string }).tokenizer);
const dtype = tokenType(tokenizer.maxId);

parentPort!.on("message", ({ texts }: TokenizeRequest) => {
  const documents = texts.map((text) => tokenizer.encodeIds(text));
  const lengths = Uint32Array.from(documents, ({ length }) => length);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const tokens = newTokenArray(dtype, total);
  let position = 0;
  for (const ids of documents) {
    tokens.set(ids, position);
    position += ids.length;
  }
  const textBytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const result: TokenizedBatch = { tokens, lengths, textBytes };
  parentPort!.postMessage(result, [tokens.buffer, lengths.buffer]);
});
