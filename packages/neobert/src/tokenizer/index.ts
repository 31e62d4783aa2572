// Tokenizers: WordPiece and byte-level BPE from and to Hugging Face's files, and their training. For Node, since load.ts
// reads files; a browser imports web.js, which needs nothing of Node.

export { type Encoding, makeEncoding, type TruncationStrategy } from "./encoding.js";
export { IdBuffer } from "./id-buffer.js";
export { loadTokenizer, saveTokenizer } from "./json/load-tokenizer.js";
export type { TokenizerJSON } from "./json/schema.js";
export {
  type EncodeOptions,
  type SpecialIds,
  type SpecialTokens,
  Tokenizer,
  type TokenizerOptions,
} from "./tokenizer.js";
export type { TrainingProgress } from "./training/learn-merges.js";
export { type BpeTrainerOptions, trainBpe } from "./training/train-bpe.js";
export { trainWordPiece, type WordPieceTrainerOptions } from "./training/train-wordpiece.js";
