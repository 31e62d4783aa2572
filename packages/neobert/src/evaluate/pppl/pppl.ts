// Pseudo-perplexity (Salazar et al. 2020; NeoBERT paper, section 5.3): every token of a text masked alone, P = exp of the mean
// cross entropy at the masks. Special tokens are neither masked nor counted. The masked copies of a text, and of texts
// after one another, are packed into batches under a budget of tokens. Cost: tokens of a text x masks, so exact scores
// grow with the square of the length; with `sample` a few positions of each text stand for all.

import { createHash } from "node:crypto";
import { Permutation, randomStreams } from "../../data/random.js";
import { cutByTokens } from "../../engine/planner.js";
import { shown } from "../../files/checked.js";
import type { EncodeOptions, Encoding, SpecialIds } from "../../tokenizer/index.js";

/** What is asked of a masked language model; `FillMask` is one. */
export interface MaskedLM {
  readonly tokenizer: { readonly specialIds: SpecialIds; encode(text: string, options: EncodeOptions): Encoding };
  /** The longest text of its training, and the longest that it can be given at all. */
  readonly maxTokens: number;
  readonly maxPositions: number;
  /** The log-probability of token `ids[i]` at row `rows[i]` of packed texts. The arrays of `batch` are given away. */
  logProbabilities(
    batch: { ids: Int32Array; cuSeqlens: Int32Array },
    rows: Int32Array,
    ids: Int32Array,
  ): Promise<Float32Array>;
  /** Throws, naming the token and what `where` calls the text, where the model knows no token of an id. */
  checkRows?(ids: Int32Array, where: () => string): void;
}

export interface TextScore {
  /** SHA-256 of the token ids: equal texts have equal scores. */
  id: string;
  /** Special ones included. */
  tokens: number;
  /** Positions that were masked. */
  masks: number;
  /** Mean log-probability at the masks. */
  logProbability: number;
  pseudoPerplexity: number;
  /** Of the pseudo-perplexity, where only some positions were masked; null where one mask alone cannot tell. */
  standardError?: number | null;
}

/** A text to score: its ids, and which of them are masked. */
export interface MaskedText {
  id: string;
  ids: Int32Array;
  positions: Int32Array;
  /** Positions that could have been masked. */
  candidates: number;
}

export interface CutOptions {
  /** Greatest number of tokens, special ones included; longer texts are cut. Default: the model's `maxTokens`. */
  maxLength?: number | undefined;
  /** Masks a text, where it has more tokens; default: every token. */
  sample?: number | undefined;
  /** Chooses those; default 0. */
  seed?: number | undefined;
}

/** Checks the options against the model; returns the greatest length. */
export function checkedLength(model: MaskedLM, { maxLength = model.maxTokens, sample }: CutOptions): number {
  const where = "pseudo-perplexity";
  if (sample !== undefined && !(Number.isInteger(sample) && sample >= 1)) {
    throw new RangeError(`${where}: expected a sample of 1 mask or more, got ${sample}`);
  }
  if (!Number.isInteger(maxLength) || maxLength < 3) {
    throw new RangeError(`${where}: expected a greatest length of 3 tokens or more, got ${maxLength}`);
  }
  if (maxLength > model.maxPositions) {
    throw new RangeError(
      `${where}: expected a greatest length of at most the model's ${model.maxPositions} positions, got ${maxLength}\n` +
        "Only models with rotary positions take longer texts than they were trained on.",
    );
  }
  return maxLength;
}

/**
 * The text cut to `maxLength` with the positions to mask; undefined where it has no token but special ones. Throws where it
 * has a token that the model does not know; `where` names the text then.
 */
export function maskedText(
  model: MaskedLM,
  text: string,
  options: CutOptions = {},
  where = "pseudo-perplexity",
): MaskedText | undefined {
  const { sample = Number.POSITIVE_INFINITY, seed = 0 } = options;
  const maxLength = checkedLength(model, options);
  const { ids, specialTokensMask } = model.tokenizer.encode(text, {
    maxLength,
    truncation: "longestFirst",
    padding: false,
  });
  model.checkRows?.(ids, () => `${where} (${shown(text, 40)})`);
  // As in training: neither what the template adds nor special tokens in the text itself, [UNK] among them.
  const special = new Set(Object.values(model.tokenizer.specialIds));
  const candidates = [...ids.keys()].filter((i) => specialTokensMask[i] === 0 && !special.has(ids[i]!));
  if (candidates.length === 0) return undefined;
  const digest = createHash("sha256").update(new Uint8Array(ids.slice().buffer)).digest();
  let positions = candidates;
  if (sample < candidates.length) {
    // By the text itself, so that its score does not depend on the texts beside it.
    const order = new Permutation(candidates.length, seed, randomStreams.pseudoPerplexity, digest.readUIntBE(0, 6));
    positions = Array.from({ length: sample }, (_, i) => candidates[order.at(i)]!).sort((a, b) => a - b);
  }
  return {
    id: digest.toString("hex"),
    ids: ids.slice(),
    positions: Int32Array.from(positions),
    candidates: candidates.length,
  };
}

/** The score of a text from the log-probabilities at its masks. */
export function textScore({ id, ids, candidates }: MaskedText, logProbabilities: ArrayLike<number>): TextScore {
  const masks = logProbabilities.length;
  const all = Array.from(logProbabilities);
  const mean = all.reduce((sum, value) => sum + value, 0) / masks;
  const score = { id, tokens: ids.length, masks, logProbability: mean, pseudoPerplexity: Math.exp(-mean) };
  if (masks === candidates) return score;
  if (masks === 1) return { ...score, standardError: null };
  // Drawn without replacement, so the variance of the mean shrinks to 0 as all are drawn; exp by its derivative.
  const variance = all.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (masks - 1);
  const ofMean = Math.sqrt((variance / masks) * (1 - masks / candidates));
  return { ...score, standardError: score.pseudoPerplexity * ofMean };
}

export interface ScoreOptions {
  /** Most tokens computed at once, unless a single text has more; default 4096. */
  batchTokens?: number | undefined;
  signal?: AbortSignal | undefined;
}

const BATCHES_AHEAD = 2;

interface Waiting {
  text: MaskedText;
  values: Float32Array;
  left: number;
}

/** Scores texts one after another, in their order, each as soon as its last mask is computed. */
export async function* scoreTexts(
  model: MaskedLM,
  texts: Iterable<MaskedText>,
  { batchTokens = 4096, signal }: ScoreOptions = {},
): AsyncGenerator<TextScore> {
  const { mask } = model.tokenizer.specialIds;
  if (mask === undefined) throw new Error("pseudo-perplexity: expected a tokenizer with a mask token, got one without");
  const waiting: Waiting[] = [];
  const running: Promise<void>[] = [];
  const compute = async (batch: { of: Waiting; index: number }[]) => {
    signal?.throwIfAborted();
    const cuSeqlens = new Int32Array(batch.length + 1);
    for (const [i, { of }] of batch.entries()) cuSeqlens[i + 1] = cuSeqlens[i]! + of.text.ids.length;
    const ids = new Int32Array(cuSeqlens.at(-1)!);
    const [rows, labels] = [new Int32Array(batch.length), new Int32Array(batch.length)];
    for (const [i, { of, index }] of batch.entries()) {
      const position = of.text.positions[index]!;
      ids.set(of.text.ids, cuSeqlens[i]!);
      rows[i] = cuSeqlens[i]! + position;
      labels[i] = of.text.ids[position]!;
      ids[rows[i]!] = mask;
    }
    const values = await model.logProbabilities({ ids, cuSeqlens }, rows, labels);
    for (const [i, { of, index }] of batch.entries()) {
      of.values[index] = values[i]!;
      of.left--;
    }
  };
  function* finished() {
    while (waiting.length > 0 && waiting[0]!.left === 0) {
      const { text, values } = waiting.shift()!;
      yield textScore(text, values);
    }
  }
  const masks = masksOf(texts, waiting);
  for (const batch of cutByTokens(masks, ({ of }) => of.text.ids.length, batchTokens)) {
    if (running.length === BATCHES_AHEAD) await running.shift();
    const computing = compute(batch);
    computing.catch(() => {}); // it is awaited, but maybe after another has failed
    running.push(computing);
    yield* finished();
  }
  for (const computing of running) {
    await computing;
    yield* finished();
  }
}

/** Masks in the order of the texts. Each text is put into `waiting`. */
function* masksOf(texts: Iterable<MaskedText>, waiting: Waiting[]) {
  for (const text of texts) {
    const of = { text, values: new Float32Array(text.positions.length), left: text.positions.length };
    waiting.push(of);
    for (const index of text.positions.keys()) yield { of, index };
  }
}
