import { rmSync } from "node:fs";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { describePieces, type MicroBatch } from "./batch.js";
import { type BatchCursor, type BatchOptions, createBatches, type StepBatch } from "./batches.js";
import { evaluationBatches } from "./evaluation.js";
import { countingDocuments, fixtureSpecialIds, writeFixtureShards } from "./fixture-data.js";
import { openShards } from "./shards.js";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function shardsOf(lengths: number[], firstId?: number): string {
  const folder = writeFixtureShards(countingDocuments(lengths, firstId), { documentsPerShard: 13 });
  folders.push(folder);
  return folder;
}

const unevenLengths = Array.from({ length: 60 }, (_, index) => 1 + ((index * 37) % 50));
const sourceA = shardsOf(unevenLengths);
const sourceB = shardsOf([5, 60, 17, 3]);
const base: BatchOptions = {
  sources: [
    { path: sourceA, weight: 3 },
    { path: sourceB, weight: 1 },
  ],
  maxLength: 32,
  tokensPerStep: 256,
  microBatchTokens: 100,
  seed: 7,
  lookAheadPieces: 20,
};

function take(options: BatchOptions, steps: number, cursor?: BatchCursor): StepBatch[] {
  const batches = createBatches(options, cursor);
  const taken = Array.from({ length: steps }, () => batches.nextStep());
  batches.close();
  return taken;
}

/** The ids of a batch with the labels put back where they were masked. */
function unmasked(batch: MicroBatch): Int32Array {
  const ids = batch.ids.slice();
  for (const [index, row] of batch.maskedRows.entries()) ids[row] = batch.labels[index]!;
  return ids;
}

function checkPieces(batch: MicroBatch, paths: string[], maxLength: number): string[] {
  const ids = unmasked(batch);
  const names: string[] = [];
  for (let piece = 0; piece + 1 < batch.cuSeqlens.length; piece++) {
    const [source, document, start] = batch.pieces.subarray(piece * 3, piece * 3 + 3);
    const got = [...ids.subarray(batch.cuSeqlens[piece], batch.cuSeqlens[piece + 1])];
    const shards = openShards(paths[source!]!);
    const whole = [...shards.document(document!)];
    shards.close();
    expect(got).toEqual([fixtureSpecialIds.cls, ...whole.slice(start!, start! + maxLength - 2), fixtureSpecialIds.sep]);
    names.push(`${source}:${document}:${start}`);
  }
  return names;
}

test("steps keep to both budgets, pieces are whole, and masked rows ascend and never hit [CLS] or [SEP]", () => {
  const options = fc.record({
    maxLength: fc.integer({ min: 3, max: 80 }),
    microBatchTokens: fc.integer({ min: 160, max: 400 }),
    tokensPerStep: fc.integer({ min: 160, max: 900 }),
    seed: fc.nat(),
    longDocuments: fc.constantFrom("cut" as const, "truncate" as const),
    lookAheadPieces: fc.integer({ min: 1, max: 40 }),
  });
  const paths = [sourceA, sourceB];
  fc.assert(
    fc.property(options, (drawn) => {
      for (const { microBatches, targets, tokens } of take({ ...base, ...drawn }, 3)) {
        expect(tokens).toBeLessThanOrEqual(drawn.tokensPerStep);
        expect(tokens).toBe(microBatches.reduce((sum, { ids }) => sum + ids.length, 0));
        expect(targets).toBe(microBatches.reduce((sum, { labels }) => sum + labels.length, 0));
        for (const batch of microBatches) {
          expect(batch.ids.length).toBeLessThanOrEqual(drawn.microBatchTokens);
          expect(batch.maskedRows.length).toBeGreaterThan(0);
          const borders = new Set([...batch.cuSeqlens, ...batch.cuSeqlens.map((end) => end - 1)]);
          expect([...batch.maskedRows].some((row) => borders.has(row))).toBe(false);
          expect([...batch.maskedRows]).toEqual([...new Set(batch.maskedRows)].sort((a, b) => a - b));
          checkPieces(batch, paths, drawn.maxLength);
        }
      }
    }),
    { numRuns: 25 },
  );
});

test("each epoch uses every piece of a source once: no token is dropped or repeated", () => {
  const options = { ...base, sources: [{ path: sourceA, weight: 1 }] };
  const steps = take(options, 40);
  const names = steps.flatMap(({ microBatches }) => microBatches.flatMap((batch) => checkPieces(batch, [sourceA], 32)));
  const pieces = unevenLengths.flatMap((length, document) =>
    Array.from({ length: Math.ceil(length / 30) }, (_, index) => `0:${document}:${index * 30}`),
  );
  const drawn = steps.at(-1)!.cursor.draws[0]!;
  expect(drawn).toBeGreaterThan(3 * pieces.length);
  const uses = new Map(pieces.map((name) => [name, 0]));
  for (const name of names) uses.set(name, uses.get(name)! + 1);
  expect(names.length + steps.at(-1)!.cursor.waiting.length).toBe(drawn);
  const epochs = Math.floor(drawn / pieces.length);
  const missing = [...uses.values()].reduce((sum, count) => sum + Math.max(0, epochs - count), 0);
  expect(missing).toBeLessThanOrEqual(steps.at(-1)!.cursor.waiting.length);
  expect(Math.max(...uses.values())).toBeLessThanOrEqual(epochs + 1);
});

test("batches after a resume at any step equal those of the unbroken run, across epochs", () => {
  const whole = take(base, 30);
  expect(whole.at(-1)!.cursor.draws[1]!).toBeGreaterThan(3 * 5); // the small source has 5 pieces
  for (const [step, { cursor }] of whole.slice(0, -1).entries()) {
    const stored = JSON.parse(JSON.stringify(cursor)) as BatchCursor;
    expect(stored.step).toBe(step + 1);
    expect(take(base, Math.min(3, 29 - step), stored)).toEqual(whole.slice(step + 1, step + 4));
  }
});

test("crossAttention makes rows of maxLength out of the same pieces with the same masks, across their borders", () => {
  const isolated = take(base, 4);
  const crossing = take({ ...base, packing: "crossAttention" }, 4);
  let straddling = 0;
  for (const [step, { microBatches, targets, tokens, cursor }] of crossing.entries()) {
    expect({ targets, tokens, cursor }).toEqual({
      targets: isolated[step]!.targets,
      tokens: isolated[step]!.tokens,
      cursor: isolated[step]!.cursor,
    });
    for (const [index, { cuSeqlens, ...batch }] of microBatches.entries()) {
      const { cuSeqlens: borders, ...same } = isolated[step]!.microBatches[index]!;
      expect(batch).toEqual(same);
      const lengths = [...cuSeqlens.subarray(1)].map((end, row) => end - cuSeqlens[row]!);
      expect(lengths.slice(0, -1).every((length) => length === base.maxLength)).toBe(true);
      expect(lengths.at(-1)).toBeLessThanOrEqual(base.maxLength);
      expect(cuSeqlens.at(-1)).toBe(batch.ids.length);
      straddling += [...borders].filter((border) => !cuSeqlens.includes(border)).length;
    }
  }
  expect(straddling).toBeGreaterThan(0);
});

test("another seed gives other batches; the same seed gives the same", () => {
  expect(take(base, 3)).toEqual(take(base, 3));
  expect(take({ ...base, seed: 8 }, 3)).not.toEqual(take(base, 3));
});

test("pieces come from the sources in proportion to their weights", () => {
  const sources = [sourceA, sourceB, shardsOf([10, 20, 30])].map((path, index) => ({
    path,
    weight: [0.2, 0.4, 0.4][index]!,
  }));
  const { draws } = take({ ...base, sources, tokensPerStep: 4096, microBatchTokens: 4096 }, 60).at(-1)!.cursor;
  const total = draws.reduce((sum, count) => sum + count, 0);
  expect(total).toBeGreaterThan(8000);
  for (const [index, share] of [0.2, 0.4, 0.4].entries())
    expect(Math.abs(draws[index]! / total - share)).toBeLessThan(0.02);
});

test("even a batch of one-token pieces at a low rate has a token to predict", () => {
  const options = { ...base, sources: [{ path: shardsOf([1, 1, 1]), weight: 1 }], maxLength: 3 };
  for (const { microBatches } of take(
    { ...options, tokensPerStep: 3, microBatchTokens: 3, masking: { rate: 1e-6 } },
    20,
  )) {
    expect(microBatches[0]!.maskedRows).toEqual(Int32Array.of(1));
  }
});

test("text of unknown characters only is refused instead of giving a step without targets", () => {
  const folder = writeFixtureShards([[1, 1, 1, 1]]);
  folders.push(folder);
  expect(() => take({ ...base, sources: [{ path: folder, weight: 1 }] }, 1)).toThrow(/step 0, got special tokens only/);
});

test("a cursor of other data or another maxLength is refused", () => {
  const [{ cursor }] = take(base, 1) as [StepBatch];
  expect(() => createBatches({ ...base, maxLength: 40 }, cursor)).toThrow(/that the cursor was made with/);
  expect(() => createBatches({ ...base, sources: base.sources.slice(0, 1) }, cursor)).toThrow(/cursor was made with/);
  expect(() => createBatches({ ...base, tokensPerStep: 512 }, cursor).close()).not.toThrow();
});

test("options that cannot work are refused with the numbers", () => {
  expect(() => createBatches({ ...base, maxLength: 512 })).toThrow(/at least maxLength = 512 tokens, got 85/);
  expect(() => createBatches({ ...base, sources: [{ path: sourceA, weight: 0 }] })).toThrow(/weight above 0 .* got 0/);
  expect(() => createBatches({ ...base, tokensPerStep: 1.5 })).toThrow(/tokensPerStep to be a whole number/);
  const other = writeFixtureShards([[5, 6]], { tokenizerHash: "other" });
  folders.push(other);
  const sources = [...base.sources, { path: other, weight: 1 }];
  expect(() => createBatches({ ...base, sources })).toThrow(/one tokenizer, got fixture .* and other/);
});

test("an error report names source, document and token of each piece", () => {
  const [{ microBatches }] = take(base, 1) as [StepBatch];
  const [batch] = microBatches as [MicroBatch];
  const lines = describePieces(batch, ["a", "b"]);
  expect(lines).toHaveLength(batch.cuSeqlens.length - 1);
  expect(lines[0]).toMatch(/^[ab] document \d+ from token \d+$/);
});

test("evaluation has the same pieces with the same masks whatever the micro-batch", () => {
  const options = { tokens: 600, seed: 3, maxLength: 32, microBatchTokens: 64 };
  const piecesOf = (batches: MicroBatch[]) =>
    batches
      .flatMap((batch) =>
        Array.from({ length: batch.cuSeqlens.length - 1 }, (_, piece) => {
          const origin = [...batch.pieces.subarray(piece * 3, piece * 3 + 3)];
          const ids = [...batch.ids.subarray(batch.cuSeqlens[piece], batch.cuSeqlens[piece + 1])];
          return JSON.stringify({ origin, ids });
        }),
      )
      .sort();
  const small = evaluationBatches(sourceA, options);
  const large = evaluationBatches(sourceA, { ...options, microBatchTokens: 1000 });
  expect(piecesOf(small)).toEqual(piecesOf(large));
  expect(small).toEqual(evaluationBatches(sourceA, options));
  const tokens = large.reduce((sum, { ids }) => sum + ids.length, 0);
  expect(tokens).toBeGreaterThanOrEqual(600);
  expect(tokens).toBeLessThan(600 + 32);
  for (const batch of small) expect(batch.ids.length).toBeLessThanOrEqual(64);
});

test("evaluation on more tokens than there are uses every piece once", () => {
  const batches = evaluationBatches(sourceB, { tokens: 1e9, seed: 3, maxLength: 32, microBatchTokens: 64 });
  expect(batches.flatMap((batch) => checkPieces(batch, [sourceB], 32)).sort()).toEqual(
    ["0:0:0", "0:1:0", "0:1:30", "0:2:0", "0:3:0"].sort(),
  );
});
