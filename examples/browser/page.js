// A text to a vector in the browser: our tokenizer, a model exported by `neobert export onnx`, mean over the tokens, length 1.
import { Tokenizer } from "neobert/tokenizer";
import * as ort from "onnxruntime-web/wasm";

const sentences = [
  "A woman is slicing tomatoes for a salad.",
  "The stock market fell sharply on Tuesday.",
  "Two dogs are running through the snow.",
  "A man plays the guitar on stage.",
];
const element = (id) => document.getElementById(id);
const tokenizer = Tokenizer.fromJSON(await (await fetch("/model/tokenizer.json")).json());
const session = await ort.InferenceSession.create("/model/onnx/model.onnx", { executionProviders: ["wasm"] });

export async function encode(text) {
  const { ids, attentionMask, typeIds } = tokenizer.encode(text, {
    maxLength: 64,
    truncation: "longestFirst",
    padding: false,
  });
  const tensor = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const inputs = { input_ids: ids, attention_mask: attentionMask, token_type_ids: typeIds };
  const feeds = Object.fromEntries(session.inputNames.map((name) => [name, tensor(inputs[name])]));
  const { data, dims } = Object.values(await session.run(feeds))[0];
  const [, tokens, width] = dims;
  const mean = Float32Array.from({ length: width }, (_, c) => {
    let sum = 0;
    for (let t = 0; t < tokens; t++) sum += data[t * width + c];
    return sum / tokens;
  });
  const norm = Math.hypot(...mean);
  return mean.map((value) => value / norm);
}

const vectors = [];
for (const sentence of sentences) vectors.push(await encode(sentence));

async function search() {
  const query = await encode(element("query").value);
  const scores = vectors.map((vector) => vector.reduce((sum, value, c) => sum + value * query[c], 0));
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  element("results").replaceChildren(
    ...order.map((i) => {
      const item = document.createElement("li");
      item.textContent = `${scores[i].toFixed(3)} ${sentences[i]}`;
      return item;
    }),
  );
}
element("query").addEventListener("change", search);
await search();
element("status").textContent = "ready";
if (new URLSearchParams(location.search).has("report")) {
  const found = {
    sentences,
    vectors: vectors.map((vector) => [...vector]),
    best: element("results").firstChild.textContent,
  };
  await fetch("/report", { method: "POST", body: JSON.stringify(found) });
}
