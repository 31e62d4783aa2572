// What is in a folder of token shards: lengths of the documents, some of them as text, and how well their pieces pack.
import { loadTokenizer } from "../tokenizer/index.js";
import { Packer } from "./packing.js";
import { type LongDocuments, PieceIndex } from "./pieces.js";
import { preparedTokenizer } from "./prepare/prepare.js";
import { Permutation, randomStreams } from "./random.js";
import { openShards, type TokenShards } from "./shards.js";

export interface InspectOptions {
  /** Longest piece and micro-batch that packing is tried with; default 1,024 and 16,384 tokens. */
  maxLength?: number;
  microBatchTokens?: number;
  longDocuments?: LongDocuments;
  /** How many documents to show, and of how many tokens; default 3 and 48. */
  examples?: number;
  exampleTokens?: number;
  /** Chooses the examples; default 0. */
  seed?: number;
  /** Folder of the tokenizer; default the copy beside the shards. */
  tokenizer?: string;
}

export interface DataReport {
  documents: number;
  tokens: number;
  shards: number;
  dtype: string;
  /** Document lengths in tokens, [CLS] and [SEP] not counted; percentiles are of at most a million documents. */
  lengths: { min: number; mean: number; max: number; percentiles: { percent: number; length: number }[] };
  /** Documents and their tokens by length, `from` to below `to`. */
  histogram: { from: number; to: number; documents: number; tokens: number }[];
  /** Pieces of at most maxLength, and the share of computed positions that hold a token: packed, and in padded rows. */
  pieces: number;
  packing: { packed: number; padded: number };
  examples: { document: number; length: number; text: string }[];
}

const sampledDocuments = 1_000_000;
const packedPieces = 100_000;
const documentsPerRead = 1 << 16;

/** A report on the token shards of `folder`. Throws if they are not whole or the tokenizer is another than theirs. */
export function inspectData(folder: string, options: InspectOptions = {}): DataReport {
  const { maxLength = 1024, microBatchTokens = 16_384, longDocuments = "cut" } = options;
  const shards = openShards(folder);
  try {
    const { documents, tokens, manifest } = shards;
    const index = new PieceIndex(shards, maxLength, longDocuments);
    return {
      documents,
      tokens,
      shards: manifest.shards.length,
      dtype: manifest.dtype,
      ...lengthsOf(shards),
      pieces: index.count,
      packing: packingOf(index, maxLength, Math.max(maxLength, microBatchTokens)),
      examples: examplesOf(shards, options),
    };
  } finally {
    shards.close();
  }
}

function lengthsOf(shards: TokenShards): Pick<DataReport, "lengths" | "histogram"> {
  const stride = Math.ceil(shards.documents / sampledDocuments);
  const sample: number[] = [];
  const histogram: DataReport["histogram"] = [];
  let [min, max] = [Number.POSITIVE_INFINITY, 0];
  for (let first = 0; first < shards.documents; first += documentsPerRead) {
    const lengths = shards.lengths(first, Math.min(documentsPerRead, shards.documents - first));
    for (const [place, length] of lengths.entries()) {
      if ((first + place) % stride === 0) sample.push(length);
      min = Math.min(min, length);
      max = Math.max(max, length);
      const bucket = Math.floor(Math.log2(Math.max(1, length)));
      while (histogram.length <= bucket) {
        histogram.push({ from: 2 ** histogram.length, to: 2 ** (histogram.length + 1), documents: 0, tokens: 0 });
      }
      histogram[bucket]!.documents++;
      histogram[bucket]!.tokens += length;
    }
  }
  const sorted = Uint32Array.from(sample).sort();
  const percentiles = [5, 25, 50, 75, 95, 99].map((percent) => ({
    percent,
    length: sorted[Math.min(sorted.length - 1, Math.floor((percent / 100) * sorted.length))]!,
  }));
  const mean = shards.tokens / shards.documents;
  return { lengths: { min, mean, max, percentiles }, histogram: histogram.filter(({ documents }) => documents > 0) };
}

/** Packs the pieces in a shuffled order; the last bin, which the data leave unfilled, does not count. */
function packingOf(index: PieceIndex, maxLength: number, budget: number): DataReport["packing"] {
  const order = new Permutation(index.count, 0, randomStreams.order, 0);
  const count = Math.min(index.count, packedPieces);
  let next = 0;
  const packer = new Packer(() => (next < count ? { size: index.at(order.at(next++)).length + 2 } : undefined), 256);
  const fills: number[] = [];
  let pieces = 0;
  for (let bin = packer.bin(budget); bin.length > 0; bin = packer.bin(budget)) {
    fills.push(bin.reduce((sum, { size }) => sum + size, 0));
    pieces += bin.length;
  }
  const tokens = fills.reduce((sum, fill) => sum + fill, 0);
  const counted = fills.length > 1 ? fills.slice(0, -1) : fills;
  return {
    packed: counted.reduce((sum, fill) => sum + fill, 0) / (counted.length * budget),
    padded: tokens / (pieces * maxLength),
  };
}

function examplesOf(shards: TokenShards, options: InspectOptions): DataReport["examples"] {
  const { examples = 3, exampleTokens = 48, seed = 0 } = options;
  if (examples === 0) return [];
  const tokenizer = loadTokenizer(options.tokenizer ?? preparedTokenizer(shards.folder));
  const { hash } = shards.manifest.tokenizer;
  if (tokenizer.hash !== hash) {
    throw new Error(
      `inspectData: expected the tokenizer that the data were made with (${hash}), got ${tokenizer.hash}\n` +
        "Name its folder with `tokenizer`.",
    );
  }
  const order = new Permutation(shards.documents, seed, randomStreams.order, 0);
  return Array.from({ length: Math.min(examples, shards.documents) }, (_, place) => {
    const document = order.at(place);
    const length = shards.lengths(document, 1)[0]!;
    const text = tokenizer.decode(shards.read(document, 0, Math.min(length, exampleTokens)));
    return { document, length, text: length > exampleTokens ? `${text} ...` : text };
  });
}
