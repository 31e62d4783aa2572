// The WordPiece model together with the normalizer and pre-tokenizer it goes with: greedy longest match from the left,
// a word that does not come out even is unknown as a whole (Wu et al. 2016; BERT's tokenization.py). With those of BERT
// `encodeIds` is the fast path: it hashes words straight from the text and looks their ids up (8 times and more the Rust
// tokenizers, see bench/tokenizer.mjs); with others it takes the words that they cut. `tokenize` gives offsets too.

import { IdBuffer } from "./id-buffer.js";
import type { WordPieceJSON } from "./json/schema.js";
import { type AlignedText, unchanged } from "./text/aligned-text.js";
import { asciiFolding, normalizeBert, splitBert } from "./text/bert-text.js";
import { bertOptions, type Normalizer, normalizerFromJSON } from "./text/normalizers.js";
import { type PreTokenizer, preTokenizerFromJSON } from "./text/pre-tokenizers.js";
import type { Pieces, TextModel } from "./text-model.js";
import { WordCache } from "./word-cache.js";

const noId = -1;
const asItIs = Int16Array.from({ length: 128 }, (_, code) => code);

export class WordPiece implements TextModel {
  /** Whether normalizer and pre-tokenizer are BERT's. */
  readonly takesRawText: boolean;
  readonly #normalizer: Normalizer;
  readonly #preTokenizer: PreTokenizer;
  readonly #vocab: ReadonlyMap<string, number>;
  readonly #continuations = new Map<string, number>();
  readonly #longestPiece: number;
  readonly #unkId: number;
  readonly #maxInputCharsPerWord: number;
  readonly #folding: Int16Array;
  readonly #asciiIds = new Int32Array(128);
  readonly #cache = new WordCache();
  readonly #wordIds = new IdBuffer(128);
  readonly #wordEnds = new IdBuffer(128);

  /** Throws where the vocabulary lacks the unknown token. */
  constructor({ model, normalizer, pre_tokenizer }: WordPieceJSON, vocab: ReadonlyMap<string, number>) {
    const unkId = vocab.get(model.unk_token);
    if (unkId === undefined) {
      throw new Error(
        `tokenizer.json: expected unk_token ${model.unk_token.slice(0, 200)} in the vocabulary, got ${vocab.size} tokens without it\n` +
          "Set model.unk_token to the token that stands for unknown words.",
      );
    }
    const prefix = model.continuing_subword_prefix;
    this.#vocab = vocab;
    this.#unkId = unkId;
    this.#maxInputCharsPerWord = model.max_input_chars_per_word;
    const bert = normalizer?.type === "BertNormalizer" ? bertOptions(normalizer) : undefined;
    this.takesRawText = bert !== undefined && pre_tokenizer?.type === "BertPreTokenizer";
    this.#normalizer = bert ? ({ text }) => normalizeBert(text, bert) : normalizerFromJSON(normalizer);
    this.#preTokenizer = preTokenizerFromJSON(pre_tokenizer);
    this.#folding = bert && this.takesRawText ? asciiFolding(bert) : asItIs;
    let longestPiece = 1;
    for (const [token, id] of vocab) {
      if (token.startsWith(prefix)) this.#continuations.set(token.slice(prefix.length), id);
      longestPiece = Math.max(longestPiece, token.length);
    }
    this.#longestPiece = longestPiece;
    for (let code = 0; code < 128; code++) {
      const char = String.fromCharCode(code);
      this.#asciiIds[code] = char.trim() === "" ? noId : (vocab.get(char) ?? this.#unkId);
    }
  }

  normalize(text: string): AlignedText {
    return this.#normalizer(unchanged(text));
  }

  /** Appends the pieces of `aligned.text[from, to)`; `shift` is added to their offsets. */
  tokenize(aligned: AlignedText, from: number, to: number, shift: number, out: Pieces): void {
    this.#preTokenizer(aligned, from, to, (words, start, end) => {
      this.#splitWord(words.text, start, end);
      let at = start;
      for (let i = 0; i < this.#wordIds.length; i++) {
        const pieceEnd = this.#wordEnds.ids[i]!;
        out.ids.push(this.#wordIds.ids[i]!);
        out.offsets.push(words.starts[at]! + shift);
        out.offsets.push(words.ends[pieceEnd - 1]! + shift);
        out.words.push(out.wordCount);
        at = pieceEnd;
      }
      out.wordCount++;
    });
  }

  /** Appends the ids of `text[from, to)`, which is normalized unless the model takes the text as it is. */
  encodeIds(text: string, from: number, to: number, sink: IdBuffer): void {
    if (!this.takesRawText) {
      this.#preTokenizer(unchanged(text), from, to, (words, start, end) => {
        this.#splitWord(words.text, start, end);
        for (let i = 0; i < this.#wordIds.length; i++) sink.push(this.#wordIds.ids[i]!);
      });
      return;
    }
    const folding = this.#folding;
    const asciiIds = this.#asciiIds;
    const cache = this.#cache;
    let i = from;
    while (i < to) {
      const start = i;
      let hash = 0x811c9dc5;
      for (; i < to; i++) {
        const code = text.charCodeAt(i);
        const folded = code < 128 ? folding[code]! : code;
        if (folded < 0) break;
        hash = Math.imul(hash ^ folded, 0x01000193);
      }
      if (i > start && !cache.append(hash, text, start, i, folding, sink)) this.#encodeNew(hash, text, start, i, sink);
      if (i < to) {
        const id = asciiIds[text.charCodeAt(i++)]!;
        if (id !== noId) sink.push(id);
      }
    }
  }

  /** The ids of a run without ASCII spaces and punctuation that the cache does not hold; other scripts may have many
   * words in it. Cutting at ASCII is safe: nothing before it combines with what follows. */
  #encodeNew(hash: number, text: string, start: number, end: number, sink: IdBuffer): void {
    const from = sink.length;
    const { text: normalized } = this.normalize(text.slice(start, end));
    splitBert(normalized, 0, normalized.length, (wordStart, wordEnd) => {
      this.#splitWord(normalized, wordStart, wordEnd);
      sink.reserve(this.#wordIds.length);
      for (let i = 0; i < this.#wordIds.length; i++) sink.ids[sink.length++] = this.#wordIds.ids[i]!;
    });
    if (end - start <= WordCache.maxWordLength) {
      this.#cache.add(hash, text, start, end, this.#folding, sink.ids.subarray(from, sink.length));
    }
  }

  /** Writes the pieces of one word into `wordIds` and the positions where they end into `wordEnds`. */
  #splitWord(text: string, start: number, end: number): void {
    const wordIds = this.#wordIds;
    const wordEnds = this.#wordEnds;
    wordIds.clear();
    wordEnds.clear();
    let at = this.#isTooLong(text, start, end) ? -1 : start;
    while (at >= 0 && at < end) {
      const vocab = at === start ? this.#vocab : this.#continuations;
      let pieceEnd = Math.min(end, at + this.#longestPiece);
      let id: number | undefined;
      while (pieceEnd > at && (id = vocab.get(text.slice(at, pieceEnd))) === undefined) pieceEnd--;
      if (id !== undefined) {
        wordIds.push(id);
        wordEnds.push(pieceEnd);
      }
      at = id === undefined ? -1 : pieceEnd;
    }
    if (at === end) return;
    wordIds.clear();
    wordEnds.clear();
    wordIds.push(this.#unkId);
    wordEnds.push(end);
  }

  #isTooLong(text: string, start: number, end: number): boolean {
    const limit = this.#maxInputCharsPerWord;
    const units = end - start;
    return units > limit && (units > 2 * limit || Array.from(text.slice(start, end)).length > limit);
  }
}
