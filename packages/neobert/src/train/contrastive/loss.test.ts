// Oracles: golden losses and gradients of the published loss run with torch (test/golden/training/contrastive.safetensors), and
// float64 versions of a few lines.

import { readFileSync } from "node:fs";
import { cat, fromTypedArray, liveTensors, type Tensor, tidy } from "@neobert/torch";
import { afterEach, expect, test } from "vitest";
import { openSafetensors } from "../../files/safetensors.js";
import { type Contrast, contrastiveLoss } from "./loss.js";
import { contrastOf } from "./pair-batches.js";

afterEach(() => expect(liveTensors()).toBe(0));

const goldenFile = new URL("../../../../../test/golden/training/contrastive.safetensors", import.meta.url).pathname;
const golden = openSafetensors(goldenFile);
const headerLength = Number(readFileSync(goldenFile).readBigUInt64LE(0));
const header = JSON.parse(readFileSync(goldenFile).toString("utf8", 8, 8 + headerLength));
const cases = JSON.parse(header.__metadata__.cases) as {
  case: number;
  name: string;
  batch: number;
  negatives: number;
  temperature: number;
  reduction: "sum" | "mean";
}[];
const array = (name: string) => golden.read(name).data as Float32Array<ArrayBuffer>;
const read = (name: string) => fromTypedArray(array(name), { shape: golden.read(name).shape, requiresGrad: true });

const plain = (Q: number, M: number): Contrast => {
  return { labels: Int32Array.from({ length: Q }, (_, i) => i), excluded: new Uint8Array(Q * M) };
};

function expectClose(actual: Tensor, expected: Float32Array, tolerance: number): void {
  const values = actual.toTypedArray() as Float32Array;
  const size = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
  const worst = values.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0);
  expect(worst / size).toBeLessThan(tolerance);
}

test.each(cases)("loss and gradients equal the published loss's: $name", (golden) => {
  tidy(() => {
    const prefix = golden.case;
    const queries = read(`${prefix}.queries`);
    const sides = ["corpus", ...(golden.negatives > 0 ? ["negatives"] : [])];
    const documents = sides.map((side) => read(`${prefix}.${side}`));
    const M = golden.batch + golden.negatives;
    const all = documents.length === 1 ? documents[0]! : cat(documents);
    const sum = contrastiveLoss(queries, all, plain(golden.batch, M), golden);
    const loss = golden.reduction === "mean" ? sum.div(golden.batch) : sum;
    const expected = array(`${prefix}.loss`)[0]!;
    expect(Math.abs(loss.item() - expected)).toBeLessThan(1e-5 * Math.max(1, Math.abs(expected)));
    loss.backward();
    expectClose(queries.grad!, array(`${prefix}.grad.queries`), 1e-5);
    for (const [i, side] of sides.entries()) {
      expectClose(documents[i]!.grad!, array(`${prefix}.grad.${side}`), 1e-5);
    }
  });
});

const rows = [
  { query: "a", positive: "A", negatives: ["x", "y"] },
  { query: "b", positive: "B", negatives: ["z"] },
  { query: "a", positive: "A2", negatives: [] },
  { query: "c", positive: "A", negatives: ["B", "c"] },
];

test("a query's candidates are its positive, its own hard negatives and the positives of the others", () => {
  const { documents, labels, excluded } = contrastOf(rows.slice(0, 2), "own");
  expect(documents).toEqual(["A", "B", "x", "y", "z"]);
  expect([...labels]).toEqual([0, 1]);
  expect([...excluded.subarray(0, 5)]).toEqual([0, 0, 0, 0, 1]);
  expect([...excluded.subarray(5)]).toEqual([0, 0, 1, 1, 0]);
  expect(contrastOf(rows.slice(0, 2), "batch").excluded).not.toContain(1);
});

test("duplicates are no negatives: equal documents are one, the positive of an equal query and the query itself are left out", () => {
  const { documents, labels, excluded } = contrastOf(rows, "batch");
  expect(documents).toEqual(["A", "B", "A2", "x", "y", "z", "c"]);
  expect([...labels]).toEqual([0, 1, 2, 0]);
  const candidates = rows.map((_, i) => documents.filter((_, j) => !excluded[i * documents.length + j]));
  expect(candidates[0]).toEqual(["A", "B", "x", "y", "z", "c"]); // A2 answers the same query
  expect(candidates[2]).toEqual(["B", "A2", "x", "y", "z", "c"]);
  expect(candidates[3]).toEqual(["A", "B", "A2", "x", "y", "z"]); // c is the query
});

test("an excluded document has no part in the loss and gets no gradient", () => {
  tidy(() => {
    const values = (count: number, seed: number) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));
    const queries = fromTypedArray(values(4, 1), { shape: [1, 4] });
    const documents = fromTypedArray(values(12, 2), { shape: [3, 4], requiresGrad: true });
    const contrast = { labels: Int32Array.of(0), excluded: Uint8Array.of(0, 0, 1) };
    const loss = contrastiveLoss(queries, documents, contrast, { temperature: 0.07 });
    const two = contrastiveLoss(queries, documents.narrow(0, 0, 2), plain(1, 2), { temperature: 0.07 });
    expect(loss.item()).toBeCloseTo(two.item(), 5);
    loss.backward();
    expect(documents.grad!.narrow(0, 2, 1).toArray()).toEqual([0, 0, 0, 0]);
    expect(
      documents
        .grad!.narrow(0, 1, 1)
        .toArray()
        .some((value) => value !== 0),
    ).toBe(true);
  });
});

test("Matryoshka: the loss is the mean of those of the vectors' beginnings, each normalised by itself", () => {
  tidy(() => {
    const vectors = (seed: number) =>
      Array.from({ length: 3 }, (_, row) => Array.from({ length: 6 }, (_, c) => Math.sin(seed + 5 * row + 1.3 * c)));
    const [queries, documents] = [vectors(1), vectors(2)];
    const of = (rows: number[][]) => fromTypedArray(Float32Array.from(rows.flat()), { shape: [3, 6] });
    const options = { temperature: 0.5, dimensions: [2, 4, 6] };
    const loss = contrastiveLoss(of(queries), of(documents), plain(3, 3), options).item();
    const oracle = [2, 4, 6].map((d) => {
      const cut = (rows: number[][]) =>
        rows.map((row) => row.slice(0, d)).map((row) => row.map((x) => x / Math.hypot(...row)));
      const [q, k] = [cut(queries), cut(documents)];
      const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
      return q.reduce((sum, a, i) => {
        const scores = k.map((b) => dot(a, b) / 0.5);
        return sum + Math.log(scores.reduce((total, x) => total + Math.exp(x), 0)) - scores[i]!;
      }, 0);
    });
    expect(loss).toBeCloseTo(oracle.reduce((sum, x) => sum + x) / 3, 4);
  });
});
