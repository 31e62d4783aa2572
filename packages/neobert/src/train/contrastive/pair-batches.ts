// The batches of contrastive fine-tuning: each step takes its rows from one data set, drawn with p ~ n^alpha, and walks
// through a shuffle of it, epoch after epoch. The batch of step n depends on data, options and seed alone; between two
// steps stands a cursor of plain JSON. Equal documents of a step are one document, so a duplicate is never a negative.

import { createHash } from "node:crypto";
import { z } from "zod";
import { Permutation, randomBelow, randomStreams, uniform } from "../../data/random.js";
import { cutByTokens } from "../../engine/planner.js";
import { checked } from "../../files/checked.js";
import type { PackedBatch } from "../../model/packed-batch.js";
import { TextTokenizer, type TokenizedTexts } from "../../texts/tokenized.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import { preparation } from "../../vectors/sentence-transformers.js";
import { PairStore } from "./pair-store.js";
import { type PairRow, type PairSource, readPairs } from "./read-pairs.js";

export interface PairSet extends PairSource {
  /** Put before each query, and before each document. */
  instruction: string;
  documentInstruction: string;
  /** Hard negatives of a query at most; of more, some are drawn. */
  maxNegatives?: number | undefined;
}

export interface PairBatchOptions {
  sets: PairSet[];
  /** Folder of the tokenizer. */
  tokenizer: string;
  maxLength: number;
  /** Rows of the model's embedding; texts with other tokens are refused. */
  vocabSize?: number;
  /** Whether texts are made lower case before they are tokenized; default false. */
  lowercase?: boolean;
  /** Texts of a step: a set with k negatives a query gives textsPerStep / (2 + k) queries, at least two. */
  textsPerStep: number;
  microBatchTokens: number;
  /** The exponent of the drawing of sets. */
  alpha: number;
  /** Which hard negatives stand against a query: its `own`, or those of the whole `batch`. */
  negatives: "own" | "batch";
  seed: number;
}

/** Texts of one forward pass, and how many tokens at each one's start are not pooled. */
export interface PairPart extends PackedBatch {
  ids: Int32Array<ArrayBuffer>;
  cuSeqlens: Int32Array<ArrayBuffer>;
  skip: Int32Array<ArrayBuffer>;
}

/** All of a step: Q queries, then M documents, in one or more forward passes. */
export interface PairBatch {
  set: string;
  /** The rows of the set that were drawn [Q], from 0. */
  rows: number[];
  /** File and row of each [Q]. */
  places: string[];
  parts: PairPart[];
  queries: number;
  documents: number;
  /** The positive of each query, among the documents [Q]. */
  labels: Int32Array<ArrayBuffer>;
  /** 1 where a document is no negative of a query [Q * M]. */
  excluded: Uint8Array<ArrayBuffer>;
}

export const pairCursorSchema = z.object({
  step: z.int().nonnegative(),
  /** Rows that each set has given. */
  draws: z.array(z.int().nonnegative()),
  fingerprint: z.string(),
});

export type PairCursor = z.infer<typeof pairCursorSchema>;

const count = z.int().nonnegative();
const cursorSchema = (sets: number) => z.looseObject({ step: count, draws: z.array(count).length(sets) });

export interface PairStep {
  microBatches: PairBatch[];
  targets: number;
  tokens: number;
  cursor: PairCursor;
}

/** Reads the data and continues from `cursor`. Throws where a set is empty, or the cursor belongs to other data. */
export async function createPairBatches(
  options: PairBatchOptions,
  cursor?: PairCursor,
  signal?: AbortSignal,
): Promise<PairBatches> {
  const stores: PairStore[] = [];
  for (const set of options.sets) {
    const store = await PairStore.of(readPairs(set, signal));
    if (store.length === 0) {
      throw new Error(
        `${set.name}: expected rows with a query and a positive, got none\nLook at its columns and filter.`,
      );
    }
    stores.push(store);
  }
  return new PairBatches(options, stores, cursor);
}

export class PairBatches {
  readonly #options: PairBatchOptions;
  readonly #stores: PairStore[];
  readonly #texts: TextTokenizer;
  readonly #shares: number[];
  readonly #fingerprint: string;
  readonly #orders: { epoch: number; permutation: Permutation }[] = [];
  #step = 0;
  #draws: number[];

  constructor(options: PairBatchOptions, stores: PairStore[], cursor?: PairCursor) {
    this.#options = options;
    this.#stores = stores;
    this.#texts = new TextTokenizer(loadTokenizer(options.tokenizer), options.vocabSize);
    const { maxLength, textsPerStep, alpha, negatives, seed } = options;
    const sizes = stores.map(({ length }) => length);
    this.#shares = drawingShares(sizes, alpha);
    const sets = options.sets.map(({ instruction, documentInstruction, maxNegatives }, i) => ({
      instruction,
      documentInstruction,
      maxNegatives,
      rows: stores[i]!.fingerprint,
    }));
    this.#fingerprint = createHash("sha256")
      .update(JSON.stringify({ sets, maxLength, textsPerStep, alpha, negatives, seed }))
      .digest("hex");
    this.#draws = stores.map(() => 0);
    if (!cursor) return;
    if (cursor.fingerprint !== this.#fingerprint) {
      throw new Error(
        "finetune contrastive: expected the data and settings that the run began with, got others\n" +
          "Resume with the run's own files, or start anew.",
      );
    }
    const where = "the checkpoint's cursor";
    const wayOut = "Resume from an older checkpoint, or begin anew.";
    const { step, draws } = checked(cursor, cursorSchema(stores.length), { where, wayOut });
    this.#step = step;
    this.#draws = draws;
  }

  /** Queries of a step on a set. */
  queriesOf(set: number): number {
    const store = this.#stores[set]!;
    const negatives = Math.min(store.maxNegatives, this.#options.sets[set]!.maxNegatives ?? Number.POSITIVE_INFINITY);
    return Math.min(store.length, Math.max(2, Math.floor(this.#options.textsPerStep / (2 + negatives))));
  }

  async nextStep(): Promise<PairStep> {
    const { seed } = this.#options;
    const set = choose(this.#shares, uniform(seed, randomStreams.pairSet, this.#step));
    const rows = Array.from({ length: this.queriesOf(set) }, () => this.#draw(set));
    const batch = await this.#batchOf(set, rows);
    this.#step++;
    return {
      microBatches: [batch],
      targets: batch.queries,
      tokens: batch.parts.reduce((sum, { ids }) => sum + ids.length, 0),
      cursor: { step: this.#step, draws: [...this.#draws], fingerprint: this.#fingerprint },
    };
  }

  /**
   * Every row once, in the sets' order, in batches of at most a step's size: for held-out scores. They are of near-equal
   * size, so that the last rows are not scored among few candidates.
   */
  async allBatches(): Promise<PairBatch[]> {
    const batches: PairBatch[] = [];
    for (const [set, store] of this.#stores.entries()) {
      const { length } = store;
      const count = Math.ceil(length / this.queriesOf(set));
      for (let i = 0; i < count; i++) {
        const [start, end] = [Math.floor((i * length) / count), Math.floor(((i + 1) * length) / count)];
        const draws = Array.from({ length: end - start }, (_, i) => ({ row: start + i, draw: start + i }));
        batches.push(await this.#batchOf(set, draws));
      }
    }
    return batches;
  }

  #draw(set: number): { row: number; draw: number } {
    const draw = this.#draws[set]!++;
    const { length } = this.#stores[set]!;
    const epoch = Math.floor(draw / length);
    if (this.#orders[set]?.epoch !== epoch) {
      const stream = randomStreams.pairOrder + 16 * set;
      this.#orders[set] = { epoch, permutation: new Permutation(length, this.#options.seed, stream, epoch) };
    }
    return { row: this.#orders[set]!.permutation.at(draw % length), draw };
  }

  async #batchOf(set: number, draws: { row: number; draw: number }[]): Promise<PairBatch> {
    const { name, instruction, documentInstruction } = this.#options.sets[set]!;
    const store = this.#stores[set]!;
    const examples = draws.map(({ row, draw }) => this.#withDrawnNegatives(set, store.row(row), draw));
    const contrast = contrastOf(examples, this.#options.negatives);
    const queries = examples.map(({ query }) => query);
    const whereIs = (example: number) => store.where(draws[example]!.row);
    const whereIsDocument = (document: number) => {
      const text = contrast.documents[document]!;
      return whereIs(examples.findIndex((row) => row.positive === text || row.negatives.includes(text)));
    };
    const tokenized = [
      await this.#tokenize(queries, instruction, whereIs),
      await this.#tokenize(contrast.documents, documentInstruction, whereIsDocument),
    ];
    return {
      set: name,
      rows: draws.map(({ row }) => row),
      places: draws.map(({ row }) => store.where(row)),
      parts: partsOf(tokenized, this.#options.microBatchTokens),
      queries: queries.length,
      documents: contrast.documents.length,
      labels: contrast.labels,
      excluded: contrast.excluded,
    };
  }

  #withDrawnNegatives(set: number, row: PairRow, draw: number): PairRow {
    const { maxNegatives = Number.POSITIVE_INFINITY } = this.#options.sets[set]!;
    const { length } = row.negatives;
    if (length <= maxNegatives) return row;
    const first = randomBelow(length, this.#options.seed, randomStreams.pairNegatives + 16 * set, draw);
    const negatives = Array.from({ length: maxNegatives }, (_, i) => row.negatives[(first + i) % length]!);
    return { ...row, negatives };
  }

  async #tokenize(
    texts: string[],
    prompt: string,
    placeOf: (index: number) => string,
  ): Promise<{ texts: TokenizedTexts; skip: number }> {
    const { maxLength: maxTokens, lowercase = false } = this.#options;
    const prepare = preparation(prompt, lowercase);
    const skip = prompt === "" ? 0 : this.#texts.leading + this.#texts.tokenizer.encodeIds(prepare("")).length;
    const tokenized = await this.#texts.tokenizeAll(texts, {
      where: "finetune contrastive",
      maxTokens,
      needsTokens: true,
      placeOf,
      prepare,
    });
    return { texts: tokenized, skip };
  }
}

/** The probability of each set, proportional to n^alpha. Source: NeoBERT paper, 5.2.1 (alpha 0.5). */
export function drawingShares(sizes: readonly number[], alpha: number): number[] {
  const weights = sizes.map((size) => size ** alpha);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function choose(shares: readonly number[], chance: number): number {
  let rest = chance;
  const found = shares.findIndex((share) => (rest -= share) < 0);
  return found < 0 ? shares.length - 1 : found;
}

/**
 * The documents of a step, each once, the positive of each query among them, and which are no negatives of a query: equal
 * to the query, the positive of an equal query, and with `own` the hard negatives of others.
 */
export function contrastOf(rows: readonly PairRow[], negatives: "own" | "batch") {
  const numbers = new Map<string, number>();
  const numberOf = (text: string) => {
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return number;
  };
  const labels = Int32Array.from(rows, ({ positive }) => numberOf(positive));
  const hard = rows.map((row) => row.negatives.map(numberOf));
  const documents = [...numbers.keys()];
  const M = documents.length;
  const positives = new Map<string, number[]>();
  for (const [i, { query }] of rows.entries()) positives.set(query, [...(positives.get(query) ?? []), labels[i]!]);
  const excluded = new Uint8Array(rows.length * M);
  const candidates = new Set(labels);
  for (const [i, { query }] of rows.entries()) {
    const row = excluded.subarray(i * M, (i + 1) * M);
    if (negatives === "own") {
      const own = new Set(hard[i]);
      for (let document = 0; document < M; document++) {
        if (!candidates.has(document) && !own.has(document)) row[document] = 1;
      }
    }
    for (const document of positives.get(query)!) row[document] = 1;
    const same = numbers.get(query);
    if (same !== undefined) row[same] = 1;
    row[labels[i]!] = 0;
  }
  return { documents, labels, excluded };
}

/** The texts one after another, cut into forward passes of at most `budget` tokens (or one text). */
function partsOf(groups: { texts: TokenizedTexts; skip: number }[], budget: number): PairPart[] {
  const all = groups.flatMap(({ texts, skip }) =>
    Array.from({ length: texts.length }, (_, text) => {
      const ids = texts.ids(text);
      // A prompt that fills the whole text leaves its last token to pool.
      return { ids, skip: Math.min(skip, ids.length - 1) };
    }),
  );
  return Array.from(
    cutByTokens(all, ({ ids }) => ids.length, budget),
    (texts) => {
      const cuSeqlens = new Int32Array(texts.length + 1);
      for (const [i, { ids }] of texts.entries()) cuSeqlens[i + 1] = cuSeqlens[i]! + ids.length;
      const ids = new Int32Array(cuSeqlens.at(-1)!);
      for (const [i, text] of texts.entries()) ids.set(text.ids, cuSeqlens[i]!);
      return { ids, cuSeqlens, skip: Int32Array.from(texts, ({ skip }) => skip) };
    },
  );
}
