// One side of bench/encode.mjs: transformers.js, as a careful user sets it up. Texts are sorted by length first, since the
// pipeline pads to the longest of the batch it is given.
import { pathToFileURL } from "node:url";
import { answerEncodings } from "./measure.mjs";

const { folder, root, name, dtype, threads, batch, pooling = "mean", maxTokens } = JSON.parse(process.argv[2]);
const entry = `${folder}/node_modules/@huggingface/transformers/dist/transformers.node.mjs`;
const { env, pipeline } = await import(pathToFileURL(entry).href);
env.allowRemoteModels = false;
env.localModelPath = root;
const session_options = threads ? { intraOpNumThreads: threads } : {};
const extract = await pipeline("feature-extraction", name, { dtype, session_options });
if (maxTokens) Object.defineProperty(extract.tokenizer, "model_max_length", { value: maxTokens });
const options = { pooling, normalize: true };
await extract("a short text", options);
await answerEncodings(
  async (text) => (await extract(text, options)).data,
  async (texts) => {
    const vectors = [];
    const order = [...texts.keys()].sort((a, b) => texts[b].length - texts[a].length);
    for (let i = 0; i < order.length; i += batch) {
      const some = order.slice(i, i + batch);
      const padded = some.map((j) => texts[j]);
      const { data, dims } = await extract(padded, options);
      for (const [k, j] of some.entries()) vectors[j] = data.subarray(k * dims[1], (k + 1) * dims[1]);
    }
    return vectors;
  },
);
