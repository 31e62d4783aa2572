// One side of bench/encode.mjs: llama.cpp, by node-llama-cpp's prebuilt binary, on our GGUF export. It computes a text at a time.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { answerEncodings } from "./measure.mjs";

const { folder, file, threads, maxTokens } = JSON.parse(process.argv[2]);
const entry = createRequire(`${folder}/package.json`).resolve("node-llama-cpp");
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: file });
const context = await model.createEmbeddingContext({ contextSize: maxTokens + 1, batchSize: maxTokens + 1, threads });
const { bos, eos } = model.tokens;
const encode = async (text) => {
  const tokens = [bos, ...model.tokenize(text).slice(0, maxTokens - 2), eos];
  return (await context.getEmbeddingFor(tokens)).vector;
};
await encode("a short text");
await answerEncodings(encode, async (texts) => {
  const vectors = [];
  for (const text of texts) vectors.push(await encode(text));
  return vectors;
});
await llama.dispose();
