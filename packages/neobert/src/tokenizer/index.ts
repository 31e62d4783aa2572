// Tokenizers: WordPiece and byte-level BPE from and to Hugging Face's files, and their training. For Node, since load.ts
// reads files; a browser imports web.js, which needs nothing of Node.

export type { Encoding, TruncationStrategy } from "./encoding.js";
export { IdBuffer } from "./id-buffer.js";
export type { TrainingProgress } from "./learn-merges.js";
export { loadTokenizer, saveTokenizer } from "./load.js";
export type { TokenizerJSON } from "./schema.js";
export {
  type EncodeOptions,
  type SpecialIds,
  type SpecialTokens,
  Tokenizer,
  type TokenizerOptions,
} from "./tokenizer.js";
export { type BpeTrainerOptions, trainBpe } from "./train-bpe.js";
export { trainWordPiece, type WordPieceTrainerOptions } from "./train-wordpiece.js";
