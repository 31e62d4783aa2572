// Tokenizers: WordPiece from and to Hugging Face's files, and its training. For Node, since load.ts reads files;
// a browser imports tokenizer.js, which needs nothing of Node.

export type { Encoding, TruncationStrategy } from "./encoding.js";
export { IdBuffer } from "./id-buffer.js";
export { loadTokenizer, saveTokenizer } from "./load.js";
export type { TokenizerJSON } from "./schema.js";
export {
  type EncodeOptions,
  type SpecialIds,
  type SpecialTokens,
  Tokenizer,
  type TokenizerOptions,
} from "./tokenizer.js";
export { type TrainingProgress, trainWordPiece, type WordPieceTrainerOptions } from "./train.js";
