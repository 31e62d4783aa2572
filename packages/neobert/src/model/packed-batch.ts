// Texts packed one after another, as both engines take them, and what is checked before they compute on them.

import type { Head } from "./architecture.js";
import type { ModelArchitecture } from "./architectures.js";

/** Sequences packed one after another: ids [N] and the borders cuSeqlens [B + 1], from 0 to N. */
export interface PackedBatch {
  ids: Int32Array;
  cuSeqlens: Int32Array;
  /** BERT's segment of each token [N]; absent means all 0. */
  tokenTypes?: Int32Array;
}

interface OfArchitecture {
  architecture: ModelArchitecture;
}

/** Throws where ids, lengths or token types are not the model's; `where` is the method that was called. */
export function checkBatch(where: string, { architecture }: OfArchitecture, batch: PackedBatch): void {
  const { ids, cuSeqlens, tokenTypes } = batch;
  const expectBelow = (limit: number, what: string, values: Int32Array, wayOut: string) => {
    const foreign = values.findIndex((value) => value < 0 || value >= limit);
    if (foreign < 0) return;
    const got = `${values[foreign]} in row ${foreign}`;
    throw new Error(`${where}: expected ${what} from 0 to ${limit - 1}, got ${got}\n${wayOut}`);
  };
  expectBelow(
    architecture.config.vocab_size,
    "ids",
    ids,
    "The tokenizer gives more tokens than the vocab_size of config.json: take the one that the model was trained with.",
  );
  const longest = cuSeqlens.reduce((longest, end, i) => Math.max(longest, end - (cuSeqlens[i - 1] ?? 0)), 0);
  const empty = cuSeqlens.findIndex((end, i) => i > 0 && end <= cuSeqlens[i - 1]!);
  if (empty > 0) {
    throw new Error(`${where}: expected sequences of at least 1 token, got none in sequence ${empty - 1}`);
  }
  const limit = architecture.maxPositions();
  if (longest > limit) {
    throw new Error(
      `${where}: expected sequences of at most ${limit} tokens, got ${longest}\nTruncate them: this model knows no later positions.`,
    );
  }
  const segments = architecture.segments();
  if (!tokenTypes || segments <= 1) return; // where there is nothing to tell apart they are ignored
  if (tokenTypes.length !== ids.length) {
    throw new Error(`${where}: expected a token type for each of ${ids.length} ids, got ${tokenTypes.length}`);
  }
  expectBelow(
    segments,
    "token types (segments)",
    tokenTypes,
    `The model tells apart the type_vocab_size ${segments} of config.json.`,
  );
}

/** The model's head, one of those expected; throws where it has another. */
export function expectHead<Expected extends Head>(
  where: string,
  { architecture: { classNames }, head }: OfArchitecture & { head: Head },
  ...expected: Expected[]
): Expected {
  if ((expected as Head[]).includes(head)) return head as Expected;
  const [names, heads] = [expected.map((head) => classNames[head]), expected.map((head) => `"${head}"`)];
  throw new Error(
    `${where}: expected ${names.join(" or ")}, got ${classNames[head]}\nLoad the model with head: ${heads.join(" or ")}.`,
  );
}
