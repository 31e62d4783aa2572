// npm's clients against a running server: each gets the library's vectors, in the texts' order. Run by ../clients.mjs beside an
// installed package-lock.json.
//   node node.mjs CASE.json
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HuggingfaceServerEmbeddingFunction } from "@chroma-core/huggingface-server";
import { InferenceClient } from "@huggingface/inference";
import { OpenAIEmbeddings } from "@langchain/openai";
import { embed, embedMany } from "ai";
import { CohereClient, CohereClientV2 } from "cohere-ai";
import { Ollama } from "ollama";
import OpenAI from "openai";

const { url, key, texts, vectors, query, scores } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const model = "minilm";

function same(found, expected = vectors) {
  if (found.length !== expected.length) throw new Error(`expected ${expected.length} vectors, got ${found.length}`);
  for (const [i, row] of found.entries()) {
    if (row.length !== expected[i].length) throw new Error(`expected ${expected[i].length} numbers, got ${row.length}`);
    const worst = Math.max(...row.map((value, j) => Math.abs(value - expected[i][j])));
    if (!(worst < 1e-6)) throw new Error(`vector ${i} differs by ${worst}`);
  }
}

/** Scores by the texts' index, sorted or not. */
function ranked(found) {
  for (const { index, score } of found) {
    if (!(Math.abs(score - scores[index]) < 1e-6)) throw new Error(`score ${index}: ${score}, not ${scores[index]}`);
  }
  if (found.length !== scores.length) throw new Error(`expected ${scores.length} scores, got ${found.length}`);
}

const clients = {
  openai: async () => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
    for (const encoding_format of [undefined, "float"]) {
      const { data } = await client.embeddings.create({ model, input: texts, encoding_format });
      same(data.map(({ embedding }) => embedding));
    }
    const { data } = await client.models.list();
    if (data[0].id !== model) throw new Error(`first model: ${data[0].id}`);
  },
  "@langchain/openai": async () => {
    const embeddings = new OpenAIEmbeddings({ model, apiKey: key, configuration: { baseURL: `${url}/v1` } });
    same(await embeddings.embedDocuments(texts));
    same([await embeddings.embedQuery(texts[1])], [vectors[1]]);
  },
  ai: async () => {
    const provider = createOpenAICompatible({ name: "local", baseURL: `${url}/v1`, apiKey: key });
    const how = { model: provider.embeddingModel(model) };
    const { embeddings, usage } = await embedMany({ ...how, values: texts });
    same(embeddings);
    if (!(usage.tokens > texts.length)) throw new Error(`${usage.tokens} tokens`);
    same([(await embed({ ...how, value: texts[0] })).embedding], [vectors[0]]);
  },
  "@huggingface/inference": async () => {
    const client = new InferenceClient(key, { endpointUrl: url });
    same(await client.featureExtraction({ inputs: texts }));
    const inputs = { source_sentence: texts[0], sentences: texts };
    const cosines = await client.sentenceSimilarity({ inputs });
    const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    same([cosines], [vectors.map((row) => dot(row, vectors[0]))]);
    const refused = await client
      .featureExtraction({ inputs: "house ".repeat(1000), truncate: false })
      .catch((error) => error);
    if (!/must have less than/.test(refused.message)) throw new Error(`another error: ${refused.message}`);
  },
  "@chroma-core/huggingface-server": async () => {
    const chroma = new HuggingfaceServerEmbeddingFunction({ url: `${url}/embed`, apiKey: key });
    same(await chroma.generate(texts));
  },
  "cohere-ai": async () => {
    const client = new CohereClientV2({ token: key, environment: url, baseUrl: url });
    const how = { model, inputType: "search_document", embeddingTypes: ["float", "ubinary"] };
    const { embeddings } = await client.embed({ ...how, texts });
    same(embeddings.float);
    if (embeddings.ubinary.length !== texts.length) throw new Error("no bits");
    const { results } = await client.rerank({ model: "rank", query, documents: texts });
    ranked(results.map(({ index, relevanceScore }) => ({ index, score: relevanceScore })));
    const old = new CohereClient({ token: key, environment: url, baseUrl: url });
    const again = await old.rerank({ model: "rank", query, documents: texts, returnDocuments: true });
    ranked(again.results.map(({ index, relevanceScore }) => ({ index, score: relevanceScore })));
    if (again.results.some(({ index, document }) => document.text !== texts[index])) throw new Error("other documents");
  },
  ollama: async () => {
    const client = new Ollama({ host: url, headers: { authorization: `Bearer ${key}` } });
    same((await client.embed({ model, input: texts })).embeddings);
    same([(await client.embeddings({ model, prompt: texts[0] })).embedding], [vectors[0]]);
    if ((await client.list()).models[0].name !== model) throw new Error("other models");
    const unknown = await client.embed({ model: "llama", input: texts }).catch((error) => error);
    if (unknown.status_code !== 404 || !unknown.message.includes("llama")) throw new Error(`no 404: ${unknown}`);
  },
};

const passed = [];
for (const [name, work] of Object.entries(clients)) {
  try {
    await work();
    passed.push(name);
  } catch (error) {
    console.log(`${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}
console.log(`npm: ${passed.join(", ")}`);
