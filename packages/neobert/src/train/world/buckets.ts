// How the parameters' gradients travel: in buckets that end where blocks end, from the last block to the first, since that is
// the order in which a backward pass finishes them. What is of no block (embeddings, heads) is in the last bucket. Within a
// bucket the values lie by owner: with an optimizer that works value by value every rank owns an equal stretch, which may cut
// a parameter; one that needs whole matrices is given them.

/** A stretch of a parameter's values, in row order. */
export interface Piece {
  name: string;
  from: number;
  count: number;
  /** Where it begins among the values of its bucket. */
  offset: number;
}

export interface Bucket {
  /** The first of its blocks: with it, it is whole. -1 for what is of no block. */
  block: number;
  /** All values in it. */
  count: number;
  /** What each rank owns of it. */
  owned: Piece[][];
}

export interface Parameter {
  name: string;
  count: number;
}

/** Values of a bucket before the next block begins another: a message of 4 MB costs little more than its bytes. */
const ENOUGH_VALUES = 2 ** 20;

/** The number of the block in a parameter's name, or -1: every architecture numbers its blocks there. */
export function blockOf(name: string): number {
  return Number(/\.(\d+)\./.exec(name)?.[1] ?? -1);
}

/** Says which rank owns which of a bucket's parameters, in pieces. */
export type Divide = (parameters: readonly Parameter[], ranks: number) => Omit<Piece, "offset">[][];

/** Buckets of the given parameters for `ranks` processes; the same on each of them. */
export function bucketsOf(parameters: readonly Parameter[], ranks: number, divide: Divide = equalStretches): Bucket[] {
  const byBlock = new Map<number, Parameter[]>();
  for (const parameter of parameters) {
    const block = blockOf(parameter.name);
    byBlock.set(block, [...(byBlock.get(block) ?? []), parameter]);
  }
  const buckets: Bucket[] = [];
  let waiting: Parameter[] = [];
  for (const block of [...byBlock.keys()].sort((a, b) => b - a)) {
    if (block < 0 && waiting.length > 0) {
      buckets.push(bucketOf(0, waiting, ranks, divide));
      waiting = [];
    }
    waiting.push(...byBlock.get(block)!);
    if (block > 0 && waiting.reduce((sum, { count }) => sum + count, 0) < ENOUGH_VALUES) continue;
    buckets.push(bucketOf(block, waiting, ranks, divide));
    waiting = [];
  }
  if (waiting.length > 0) buckets.push(bucketOf(0, waiting, ranks, divide));
  return buckets;
}

function bucketOf(block: number, parameters: readonly Parameter[], ranks: number, divide: Divide): Bucket {
  let offset = 0;
  const owned = divide(parameters, ranks).map((pieces) =>
    pieces.map((piece) => {
      const placed = { ...piece, offset };
      offset += piece.count;
      return placed;
    }),
  );
  return { block, count: offset, owned };
}

/** Cuts all values, one parameter after another, into `ranks` stretches of the same length (the last may be shorter). */
export function equalStretches(parameters: readonly Parameter[], ranks: number): Omit<Piece, "offset">[][] {
  const total = parameters.reduce((sum, { count }) => sum + count, 0);
  const share = Math.ceil(total / ranks);
  const owned: Omit<Piece, "offset">[][] = Array.from({ length: ranks }, () => []);
  let at = 0;
  for (const { name, count } of parameters) {
    for (let from = 0; from < count; ) {
      const rank = Math.floor(at / share);
      const part = Math.min(count - from, (rank + 1) * share - at);
      owned[rank]!.push({ name, from, count: part });
      from += part;
      at += part;
    }
  }
  return owned;
}

/**
 * Gives each parameter whole to a rank, the costliest first, each to the rank with the least to do so far.
 * `cost` is in any unit.
 */
export function wholeParameters(cost: (parameter: Parameter) => number): Divide {
  return (parameters, ranks) => {
    const owned: Omit<Piece, "offset">[][] = Array.from({ length: ranks }, () => []);
    const load = new Float64Array(ranks);
    for (const parameter of [...parameters].sort((a, b) => cost(b) - cost(a))) {
      const rank = load.indexOf(Math.min(...load));
      load[rank]! += cost(parameter);
      owned[rank]!.push({ name: parameter.name, from: 0, count: parameter.count });
    }
    return owned;
  };
}
