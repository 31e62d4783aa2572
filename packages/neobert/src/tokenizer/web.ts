// `neobert/tokenizer`: tokenizers where there are no files, browsers included. Nothing here, nor in what it imports,
// needs a module of Node's. In Node, `loadTokenizer` of `neobert` reads folders too.

export type { Encoding, TruncationStrategy } from "./encoding.js";
export { IdBuffer } from "./id-buffer.js";
export type { TokenizerJSON } from "./json/schema.js";
export {
  type EncodeOptions,
  type SpecialIds,
  type SpecialTokens,
  Tokenizer,
  type TokenizerOptions,
} from "./tokenizer.js";
