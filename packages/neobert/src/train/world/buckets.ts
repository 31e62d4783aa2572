// How the parameters' gradients travel: in buckets that end where blocks end, from the last block to the first, since that is
// the order in which a backward pass finishes them. Heads go before the blocks, embeddings after them. Parameters whose copies
// in bfloat16 are all that others need have buckets of their own. Within a bucket the values lie by owner: with an optimizer
// that works value by value every rank owns an equal stretch, which may cut a parameter; one that needs whole matrices is given
// them.

/** A stretch of a parameter's values, in row order. */
export interface Piece {
  name: string;
  from: number;
  count: number;
  /** Where it begins among the values of its bucket. */
  offset: number;
}

export interface Bucket {
  /** The first of its blocks: with it, it is whole. -1 where embeddings are in it. */
  block: number;
  isNarrow: boolean;
  /** All values in it. */
  count: number;
  /** What each rank owns of it. */
  owned: Piece[][];
}

export interface Parameter {
  name: string;
  count: number;
  /** In bfloat16. */
  isNarrow?: boolean;
}

/** Values of a bucket before the next block begins another: a message of 4 MB costs little more than its bytes. */
const ENOUGH_VALUES = 2 ** 20;

/** The number of the block in a parameter's name, or -1: every architecture numbers its blocks there. */
export function blockOf(name: string): number {
  return Number(/\.(\d+)\./.exec(name)?.[1] ?? -1);
}

/** Says which rank owns which of a bucket's parameters, in pieces. */
export type Divide = (parameters: readonly Parameter[], ranks: number) => Omit<Piece, "offset">[][];

/**
 * Buckets of the given parameters for `ranks` processes; the same on each of them. They are given in a model's order: what
 * comes before the blocks is embeddings, what comes after them heads.
 */
export function bucketsOf(parameters: readonly Parameter[], ranks: number, divide: Divide = equalStretches): Bucket[] {
  const blocks = parameters.map(({ name }) => blockOf(name));
  const last = Math.max(...blocks);
  const end = blocks.lastIndexOf(last);
  const byBlock = new Map<number, Parameter[]>();
  for (const [i, parameter] of parameters.entries()) {
    const block = i > end ? last + 1 : blocks[i]!;
    byBlock.set(block, [...(byBlock.get(block) ?? []), parameter]);
  }
  return [true, false]
    .flatMap((isNarrow) => filled(byBlock, isNarrow).map((part) => bucketOf(part, isNarrow, ranks, divide)))
    .sort((a, b) => b.block - a.block);
}

interface Filled {
  block: number;
  parameters: Parameter[];
}

/** The parameters of one type, block by block from the last, together until they are enough. */
function filled(byBlock: ReadonlyMap<number, Parameter[]>, isNarrow: boolean): Filled[] {
  const parts: Filled[] = [];
  for (const block of [...byBlock.keys()].sort((a, b) => b - a)) {
    const parameters = byBlock.get(block)!.filter((parameter) => (parameter.isNarrow ?? false) === isNarrow);
    if (parameters.length === 0) continue;
    const waiting = parts.at(-1);
    const isEnough = !waiting || waiting.parameters.reduce((sum, { count }) => sum + count, 0) >= ENOUGH_VALUES;
    // Embeddings are whole so much later than all else that nothing waits for them.
    if (isEnough || block < 0) parts.push({ block, parameters });
    else Object.assign(waiting, { block, parameters: [...waiting.parameters, ...parameters] });
  }
  return parts;
}

function bucketOf({ block, parameters }: Filled, isNarrow: boolean, ranks: number, divide: Divide): Bucket {
  let offset = 0;
  const owned = divide(parameters, ranks).map((pieces) =>
    pieces.map((piece) => {
      const placed = { ...piece, offset };
      offset += piece.count;
      return placed;
    }),
  );
  return { block, isNarrow, count: offset, owned };
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
