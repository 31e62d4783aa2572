// Whoever waits for an evaluator's scores has the event loop: timers fire, and a signal ends the work in its midst.

import { expect, test } from "vitest";
import { plainProducts } from "../learn/products.js";
import { RandomState } from "../learn/random-state.js";
import { evaluateClassification } from "./classification.js";
import { evaluateClustering } from "./clustering.js";
import { evaluateReranking } from "./reranking.js";
import { evaluateRetrieval } from "./retrieval.js";
import type { Encode } from "./types.js";

const d = 64;
const random = new RandomState(1);
const table = Float32Array.from({ length: 1000 * d }, () => random.randn());
/** A vector of noise for each text, which is a number. */
const encode: Encode = async (texts) => {
  const data = new Float32Array(texts.length * d);
  for (const [i, text] of texts.entries())
    data.set(table.subarray((Number(text) % 1000) * d, (Number(text) % 1000) * d + d), i * d);
  return { data, shape: [texts.length, d] };
};
const numbers = (length: number) => Array.from({ length }, (_, i) => String(i));
const products = plainProducts;

const work: Record<string, (signal?: AbortSignal) => Promise<unknown>> = {
  clustering: (signal) => {
    const sentences = numbers(12_000);
    const labels = sentences.map((_, i) => i % 40);
    return evaluateClustering({ sets: [{ sentences, labels }] }, encode, { products, signal });
  },
  classification: (signal) => {
    const [texts, labels] = [numbers(3000), numbers(3000).map((_, i) => i % 24)];
    return evaluateClassification({ train: { texts, labels }, test: { texts, labels } }, encode, { products, signal });
  },
  retrieval: (signal) => {
    const corpus = numbers(20_000).map((text) => ({ id: `d${text}`, text }));
    const queries = numbers(200).map((text) => ({ id: `q${text}`, text }));
    const judgements = new Map(queries.map(({ id, text }) => [id, new Map([[`d${text}`, 1]])]));
    return evaluateRetrieval({ corpus, queries, judgements }, encode, { products, signal });
  },
  reranking: (signal) => {
    const samples = numbers(1500).map((query) => ({ query, positive: numbers(50), negative: numbers(400) }));
    return evaluateReranking({ samples }, encode, { signal });
  },
};

/** Milliseconds of the work, and the longest time between two ticks of a timer while it went on. */
async function longestSilence(start: () => Promise<unknown>): Promise<{ totalMs: number; silenceMs: number }> {
  const begun = performance.now();
  let [last, silenceMs] = [begun, 0];
  const tick = () => {
    const now = performance.now();
    silenceMs = Math.max(silenceMs, now - last);
    last = now;
  };
  const timer = setInterval(tick, 1);
  await start();
  tick();
  clearInterval(timer);
  return { totalMs: performance.now() - begun, silenceMs };
}

test.each(Object.keys(work))("%s leaves the event loop free most of its time", { timeout: 60_000 }, async (name) => {
  await work[name]!(); // compiled
  const { totalMs, silenceMs } = await longestSilence(() => work[name]!());
  expect(totalMs).toBeGreaterThan(300);
  expect(silenceMs).toBeLessThan(0.4 * totalMs);
});

test.each(Object.keys(work))("%s ends where its signal is aborted in its midst", { timeout: 60_000 }, async (name) => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 60);
  await expect(work[name]!(controller.signal)).rejects.toThrow("enough");
});
