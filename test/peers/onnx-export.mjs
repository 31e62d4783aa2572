// FOLDER PEERS: the encoders exported as ONNX in fp32, fp16 and int8 give our vectors in transformers.js (offline, its
// own tokenizer and classes, onnxruntime-node) and in onnxruntime-web; PEERS holds both. onnx-export.py takes the rest.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { noGrad, tidy } from "@neobert/torch";
import { exportOnnx } from "neobert/export";
import { writeSafetensors } from "#neobert/files/safetensors";
import { configs, cosine, randomModel, saveWithTokenizer, texts, tokenizer } from "./models.mjs";

const [folder, peers] = process.argv.slice(2).map((path) => resolve(path));
const load = (name) => import(pathToFileURL(createRequire(join(peers, "package.json")).resolve(name)).href);
const { AutoModel, AutoModelForMaskedLM, AutoTokenizer, env } = await load("@huggingface/transformers");
const web = await load("onnxruntime-web");
env.allowRemoteModels = false;
env.localModelPath = folder;

const COSINE = { fp32: 0.999999, fp16: 0.9999, int8: 0.99 };
const dtypes = {
  fp32: ["fp32", "model.onnx"],
  fp16: ["fp16", "model_fp16.onnx"],
  int8: ["q8", "model_quantized.onnx"],
};
/** The least cosine between rows of padded [B, S, W] that are tokens and rows of packed [N, W]. */
function leastCosine(padded, mask, packed) {
  const W = padded.dims.at(-1);
  let [least, row] = [1, 0];
  for (const [place, isToken] of [...mask.data].entries()) {
    if (!isToken) continue;
    const [a, b] = [padded.data.subarray(place * W, (place + 1) * W), packed.subarray(row * W, ++row * W)];
    least = Math.min(least, cosine([...a], [...b]));
  }
  assert.equal(row * W, packed.length);
  return least;
}

const lowest = {};
function expectAlike(what, dtype, least) {
  assert(least > COSINE[dtype], `${what} in ${dtype}: expected cosines above ${COSINE[dtype]}, got ${least}`);
  lowest[dtype] = Math.min(lowest[dtype] ?? 1, least);
}

for (const config of configs) {
  const { model_type } = config;
  for (const head of ["none", "maskedLM"]) {
    const model = randomModel(config, head, 7);
    const name = `${model_type}-${head}`;
    const saved = join(folder, "saved", name);
    saveWithTokenizer(model, saved);
    for (const dtype of Object.keys(dtypes)) await exportOnnx(saved, join(folder, name), { dtype });

    const theirs = await AutoTokenizer.from_pretrained(name);
    const inputs = theirs(texts, { padding: true });
    const ids = texts.map((text) => tokenizer.encode(text).ids);
    const cuSeqlens = Int32Array.from([0, ...ids.map((_, i) => ids.slice(0, i + 1).flatMap((one) => [...one]).length)]);
    const batch = { ids: Int32Array.from(ids.flatMap((one) => [...one])), cuSeqlens };
    const rows = batch.ids.map((_, row) => row);
    const expected = tidy(() =>
      noGrad(() => (head === "none" ? model.hidden(batch) : model.logits(batch, rows)).toTypedArray()),
    );
    for (const [dtype, [theirName, file]] of Object.entries(dtypes)) {
      const loader = head === "none" ? AutoModel : AutoModelForMaskedLM;
      // transformers.js has no masked-LM class for NomicBERT.
      if (model_type !== "nomic_bert" || head === "none") {
        const loaded = await loader.from_pretrained(name, { dtype: theirName });
        const output = await loaded(inputs);
        const values = head === "none" ? output.last_hidden_state : output.logits;
        expectAlike(`${name} in transformers.js`, dtype, leastCosine(values, inputs.attention_mask, expected));
        await loaded.dispose();
      }
      const session = await web.InferenceSession.create(join(folder, name, "onnx", file));
      const { data, dims } = inputs.input_ids;
      const feeds = Object.fromEntries(
        session.inputNames.map((input) => {
          const values = input in inputs ? inputs[input].data : new BigInt64Array(data.length);
          return [input, new web.Tensor("int64", values, dims)];
        }),
      );
      const values = (await session.run(feeds))[session.outputNames[0]];
      expectAlike(`${name} in onnxruntime-web`, dtype, leastCosine(values, inputs.attention_mask, expected));
      await session.release();
    }
    const { input_ids, attention_mask } = inputs;
    writeSafetensors(join(folder, name, "expected.safetensors"), [
      { name: "input_ids", dtype: "I64", shape: input_ids.dims, data: BigInt64Array.from(input_ids.data) },
      { name: "attention_mask", dtype: "I64", shape: input_ids.dims, data: BigInt64Array.from(attention_mask.data) },
      { name: "packed", dtype: "F32", shape: [batch.ids.length, expected.length / batch.ids.length], data: expected },
    ]);
    model.dispose();
  }
}
console.log(
  Object.entries(lowest)
    .map(([dtype, least]) => `${dtype} cosine ${least.toFixed(6)}`)
    .join(", "),
);
