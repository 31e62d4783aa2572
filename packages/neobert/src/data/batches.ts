// The batches of pretraining: pieces drawn from a mixture, packed without padding, masked. The batch of step n depends on
// the options, the seed and the data alone; the state between two steps is a cursor of plain JSON (draw counts, and the
// few hundred pieces that wait for a bin), so a run continues at any step, across epochs, with the batches it would have had.
import { createHash } from "node:crypto";
import { z } from "zod";
import { shown } from "../files/checked.js";
import { forcedMaskOf, type MicroBatch, makeBatch, type Packing, type PieceItem, prefetchItems } from "./batch.js";
import { Masker, type MaskingOptions } from "./masking.js";
import { Mixture } from "./mixture.js";
import { Packer } from "./packing.js";
import { type LongDocuments, PieceIndex } from "./pieces.js";
import { randomStreams } from "./random.js";
import { defaultCacheBytes } from "./remote/remote-files.js";
import { openShards, type TokenShards } from "./shards.js";

/** What `createBatches` makes batches from; plain JSON, so that a worker can be handed it. */
export interface BatchOptions {
  /** Folders of token shards (the `train` of a prepared folder), each with the weight its pieces are drawn with. */
  sources: { path: string; weight: number }[];
  /** Tokens of the longest piece, [CLS] and [SEP] counted. */
  maxLength: number;
  /** What becomes of longer documents; default "cut". */
  longDocuments?: LongDocuments;
  /** What attends to what; default "isolated". */
  packing?: Packing;
  /** Upper bounds, in tokens, of an optimizer step and of each of its micro-batches. */
  tokensPerStep: number;
  microBatchTokens: number;
  seed: number;
  masking?: Partial<MaskingOptions>;
  /** Pieces that may wait for a gap that they fill; default 256. */
  lookAheadPieces?: number;
  /** Bytes of disk that tokens of all sources at addresses may take at once; default 4 GiB. */
  cacheBytes?: number | undefined;
}

/** Which of a step's micro-batches are made: number `rank` of every `size` in turn. */
export interface Share {
  rank: number;
  size: number;
}

const whole: Share = { rank: 0, size: 1 };

const count = z.int().nonnegative();

/** Where a run's data stand between two steps: plain JSON. */
export const batchCursorSchema = z.object({
  /** The step that comes next. */
  step: count,
  /** How many pieces each source has given. */
  draws: z.array(count),
  /** The pieces drawn but not yet used: source and draw number. */
  waiting: z.array(z.tuple([count, count])),
  /** Hash of the data and of the options that decide the order of the pieces. */
  fingerprint: z.string(),
});

export type BatchCursor = z.infer<typeof batchCursorSchema>;

/** The micro-batches of one optimizer step, or a share of them. */
export interface StepBatch {
  step: number;
  microBatches: MicroBatch[];
  /** How many the largest share has. */
  rounds: number;
  /** Masked positions in these: the loss is divided by the sum over all shares. */
  targets: number;
  /** Tokens in these, [CLS] and [SEP] counted. */
  tokens: number;
  /** Continues with the step after this one. */
  cursor: BatchCursor;
}

/**
 * The steps' batches from `cursor` on (from the start without one), of which a share reads only its own tokens. Throws if the options contradict each other or the
 * data, or if the cursor belongs to other data.
 */
export function createBatches(options: BatchOptions, cursor?: BatchCursor, share: Share = whole): StepBatches {
  return new StepBatches(options, cursor, share);
}

export class StepBatches {
  /** The sources' shards, in the order of the options. */
  readonly sources: TokenShards[];
  readonly #mixture: Mixture;
  readonly #packer: Packer<PieceItem>;
  readonly #masker: Masker;
  readonly #fingerprint: string;
  readonly #microBatches: number;
  readonly #budget: number;
  readonly #rowLength: number | undefined;
  readonly #share: Share;
  #step = 0;
  readonly #draws: number[];

  constructor(options: BatchOptions, cursor: BatchCursor | undefined, share: Share) {
    this.#share = share;
    const { maxLength, longDocuments = "cut", tokensPerStep, microBatchTokens, seed, lookAheadPieces = 256 } = options;
    if (options.sources.length === 0) throw new Error("createBatches: expected at least one source, got none");
    for (const { path, weight } of options.sources) {
      if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) {
        throw new RangeError(`createBatches: expected a weight above 0 for ${path}, got ${weight}`);
      }
    }
    this.#rowLength = options.packing === "crossAttention" ? maxLength : undefined;
    ({ count: this.#microBatches, budget: this.#budget } = divideStep(tokensPerStep, microBatchTokens, maxLength));
    const cacheBytes = (options.cacheBytes ?? defaultCacheBytes) / options.sources.length;
    this.sources = options.sources.map(({ path }) => openShards(path, { cacheBytes }));
    checkSameTokenizer(this.sources);
    const indexes = this.sources.map((shards) => new PieceIndex(shards, maxLength, longDocuments));
    const weighted = indexes.map((index, source) => ({ index, weight: options.sources[source]!.weight }));
    this.#mixture = new Mixture(weighted, seed);
    const { specialIds, tokenizer } = this.sources[0]!.manifest;
    this.#masker = new Masker(options.masking ?? {}, specialIds, tokenizer.vocabSize, seed);
    const data = this.sources.map(({ fingerprint }) => fingerprint);
    this.#fingerprint = createHash("sha256")
      .update(JSON.stringify({ data, maxLength, longDocuments, seed }))
      .digest("hex");
    this.#draws = this.sources.map(() => 0);
    const waiting: PieceItem[] = [];
    if (cursor !== undefined) {
      if (cursor.fingerprint !== this.#fingerprint) {
        throw new Error(
          "createBatches: expected the data, maxLength, longDocuments and seed that the cursor was made with, got others\n" +
            "Resume with the run's own data and settings, or start anew without the cursor.",
        );
      }
      this.#checkCursor(cursor);
      this.#step = cursor.step;
      this.#draws = [...cursor.draws];
      for (const [source, draw] of cursor.waiting) waiting.push(this.#item(source, draw));
    }
    this.#packer = new Packer(() => this.#draw(), Math.max(1, lookAheadPieces), waiting);
  }

  /** Throws where a cursor does not stand in these sources: it comes out of a checkpoint's file. */
  #checkCursor({ step, draws, waiting }: BatchCursor): void {
    const isCount = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
    const isPlace = (place: unknown) =>
      Array.isArray(place) && place.length === 2 && place.every(isCount) && place[0] < this.sources.length;
    const isWhole =
      isCount(step) &&
      Array.isArray(draws) &&
      draws.length === this.sources.length &&
      draws.every(isCount) &&
      Array.isArray(waiting) &&
      waiting.every(isPlace);
    if (isWhole) return;
    throw new Error(
      `createBatches: expected a cursor of ${this.sources.length} sources, got ${shown({ step, draws, waiting }, 200)}\n` +
        "Resume from an older checkpoint, or start anew without the cursor.",
    );
  }

  get cursor(): BatchCursor {
    return {
      step: this.#step,
      draws: [...this.#draws],
      waiting: this.#packer.waiting.map(({ source, draw }) => [source, draw]),
      fingerprint: this.#fingerprint,
    };
  }

  /** Makes the next step's batches. Throws if the whole step has no token to predict; a share may have none. */
  nextStep(): StepBatch {
    const step = this.#step;
    const microBatches: MicroBatch[] = [];
    let [targets, tokens] = [0, 0];
    const bins = Array.from({ length: this.#microBatches }, () => this.#packer.bin(this.#budget));
    const { rank, size } = this.#share;
    const own = [...bins.entries()].filter(([microBatch]) => microBatch % size === rank);
    prefetchItems(
      own.flatMap(([, items]) => items),
      this.sources,
    );
    for (const [microBatch, items] of own) {
      const forced = forcedMaskOf(step, microBatch);
      const sources = this.sources;
      const masker = this.#masker;
      const rowLength = this.#rowLength;
      const batch = makeBatch(step, items, sources, masker, randomStreams.masking, forced, rowLength);
      targets += batch.maskedRows.length;
      tokens += batch.ids.length;
      microBatches.push(batch);
    }
    if (targets === 0 && this.#share.size === 1) {
      throw new Error(
        `createBatches: expected a token to predict in step ${step}, got special tokens only\n` +
          "The tokenizer turns this text into [UNK]: prepare the data with one that knows its characters.",
      );
    }
    this.#step++;
    const rounds = Math.ceil(this.#microBatches / this.#share.size);
    return { step, microBatches, rounds, targets, tokens, cursor: this.cursor };
  }

  close(): void {
    for (const shards of this.sources) shards.close();
  }

  #draw(): PieceItem {
    const source = this.#mixture.sourceOf(this.#draws.reduce((sum, count) => sum + count, 0));
    return this.#item(source, this.#draws[source]!++);
  }

  #item(source: number, draw: number): PieceItem {
    const piece = this.#mixture.piece(source, draw);
    return { source, draw, piece, size: piece.length + 2 };
  }
}

/** Micro-batches of equal budget that keep within both bounds, so that none of them is a small rest. */
function divideStep(tokensPerStep: number, microBatchTokens: number, maxLength: number) {
  for (const [name, value] of Object.entries({ tokensPerStep, microBatchTokens, maxLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`createBatches: expected ${name} to be a whole number above 0, got ${value}`);
    }
  }
  const count = Math.ceil(tokensPerStep / microBatchTokens);
  const budget = Math.floor(tokensPerStep / count);
  if (budget < maxLength) {
    throw new RangeError(
      `createBatches: expected micro-batches of at least maxLength = ${maxLength} tokens, got ${budget} ` +
        `(tokensPerStep ${tokensPerStep} in ${count})\nRaise tokensPerStep or microBatchTokens, or lower maxLength.`,
    );
  }
  return { count, budget };
}

function checkSameTokenizer(sources: readonly TokenShards[]): void {
  const first = sources[0]!;
  for (const { folder, documents, manifest } of sources) {
    if (documents === 0) throw new Error(`createBatches: expected documents in ${folder}, got none`);
    if (manifest.tokenizer.hash !== first.manifest.tokenizer.hash) {
      throw new Error(
        `createBatches: expected all sources from one tokenizer, got ${first.manifest.tokenizer.hash} in ${first.folder} ` +
          `and ${manifest.tokenizer.hash} in ${folder}\nPrepare them with the same tokenizer.`,
      );
    }
  }
}
