// For tests: one small model of each task, loaded, behind a handler; requests to it, and answers read.

import { Classifier } from "../encoder/classifier.js";
import { CrossEncoder } from "../encoder/cross-encoder.js";
import { Encoder } from "../encoder/encoder.js";
import { FillMask } from "../encoder/fill-mask.js";
import { writeSmallModel } from "../encoder/fixture-encoder.js";
import { TokenClassifier } from "../encoder/token-classifier.js";
import type { Handler, ServedModel } from "./index.js";
import { routes } from "./routes.js";

const labels = { id2label: { 0: "A", 1: "B", 2: "C" }, label2id: { A: 0, B: 1, C: 2 } };
const prompts = { "config_sentence_transformers.json": { prompts: { query: "query: " } } };

export interface SmallServed {
  encoder: Encoder;
  reranker: CrossEncoder;
  classifier: Classifier;
  fillMask: FillMask;
  tagger: TokenClassifier;
}

/** Five models, each for one task. */
export async function loadServed(): Promise<SmallServed> {
  const sequence = "sequenceClassification" as const;
  const one = { threads: 1 };
  const [encoder, reranker, classifier, fillMask, tagger] = await Promise.all([
    writeSmallModel({ files: prompts }).then((folder) => Encoder.load(folder, one)),
    writeSmallModel({ head: sequence, config: { id2label: { 0: "A" } } }).then((folder) =>
      CrossEncoder.load(folder, one),
    ),
    writeSmallModel({ head: sequence, config: labels }).then((folder) => Classifier.load(folder, one)),
    writeSmallModel({ head: "maskedLM" }).then((folder) => FillMask.load(folder, one)),
    writeSmallModel({ head: "tokenClassification", config: labels }).then((folder) =>
      TokenClassifier.load(folder, one),
    ),
  ]);
  return { encoder, reranker, classifier, fillMask, tagger };
}

export function servedOf({ encoder, reranker, classifier, fillMask, tagger }: SmallServed): ServedModel[] {
  return [
    { name: "embed", encoder, revision: "abc" },
    { name: "labels", classifier },
    { name: "rank", reranker },
    { name: "masks", fillMask },
    { name: "tags", tagger },
  ];
}

export async function disposeServed(served: SmallServed | undefined): Promise<void> {
  await Promise.all(Object.values(served ?? {}).map((model) => (model as Encoder).dispose()));
}

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: an answer's shape is what the tests look at
  json: any;
  headers: Headers;
}

/** The answer to GET, or to POST where there is a body: a value, or a text as it is. */
export async function ask(by: Handler, path: string, body?: unknown, init: RequestInit = {}): Promise<Answer> {
  const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
  const headers = { "content-type": "application/json", ...(init.headers as Record<string, string>) };
  const post = text === undefined ? {} : { method: "POST", body: text };
  const response = await by(new Request(`http://localhost${path}`, { ...post, ...init, headers }));
  const answer = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, json: isJson ? JSON.parse(answer) : answer, headers: response.headers };
}

/** The same; throws where an answer of 200 is none that its route's schemas describe. */
export async function askChecked(by: Handler, path: string, body?: unknown, init?: RequestInit): Promise<Answer> {
  const answer = await ask(by, path, body, init);
  const method = body === undefined ? "GET" : "POST";
  const schemas = routes.flatMap((row) =>
    row.paths.includes(path) && row.method === method && row.answer ? [row.answer] : [],
  );
  const isDescribed = schemas.length === 0 || schemas.some((schema) => schema.safeParse(answer.json).success);
  if (answer.status === 200 && !isDescribed) throw new Error(`${path}: expected an answer that its schema describes`);
  return answer;
}

export interface RowsLike {
  length: number;
  row(i: number): Float32Array;
}

/** The largest difference of two numbers in the same place; infinite where there are more of one side. */
export function furthest(found: readonly number[][], expected: RowsLike): number {
  const isAlike = found.length === expected.length && found.every((row, i) => row.length === expected.row(i).length);
  if (!isAlike) return Number.POSITIVE_INFINITY;
  return Math.max(...found.flatMap((row, i) => row.map((value, j) => Math.abs(value - expected.row(i)[j]!))));
}
