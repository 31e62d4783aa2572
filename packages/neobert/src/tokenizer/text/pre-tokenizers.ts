// Pre-tokenizers of tokenizer.json: the cut of a normalized text into the words that the model splits. Each hands its
// words on as stretches of a text; only ByteLevel makes a new text, for add_prefix_space and of the bytes' characters. Where
// ByteLevel comes last byte-level BPE spells the bytes itself.

import type { PreTokenizerJSON } from "../json/schema.js";
import { type AlignedText, AlignedWriter, prepend, widthAt } from "./aligned-text.js";
import { splitBert } from "./bert-text.js";
import { spellBytes } from "./byte-level.js";
import { characterKinds, endOfWord } from "./gpt2-words.js";
import { type Matcher, matcherOf } from "./matcher.js";
import { compilePattern } from "./pattern.js";

export type Emit = (aligned: AlignedText, from: number, to: number) => void;
export type PreTokenizer = (aligned: AlignedText, from: number, to: number, emit: Emit) => void;

type Behavior = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";

/** `modelSpells` says that the model takes the words of a last ByteLevel as they are, and their bytes itself. */
export function preTokenizerFromJSON(json: PreTokenizerJSON | null, modelSpells = false): PreTokenizer {
  if (json === null) return (aligned, from, to, emit) => emit(aligned, from, to);
  switch (json.type) {
    case "Sequence": {
      const last = json.pretokenizers.at(-1);
      const steps = json.pretokenizers.map((step) => preTokenizerFromJSON(step, modelSpells && step === last));
      return steps.reduce(inTurn, preTokenizerFromJSON(null));
    }
    case "ByteLevel": {
      const words = byteLevel(json.add_prefix_space, json.use_regex);
      return modelSpells ? words : inTurn(words, spelled);
    }
    case "FixedLength":
      return (aligned, from, to, emit) => fixedLength(json.length, aligned, from, to, emit);
    case "Split":
      return split(compilePattern(json.pattern, "pre_tokenizer.pattern"), json.behavior, json.invert);
    case "Digits":
      return split(matcherOf(json.individual_digits ? /\p{N}/gu : /\p{N}+/gu), "Isolated", false);
    case "Whitespace":
      return split(
        matcherOf(
          /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
        ),
        "Removed",
        true,
      );
    case "WhitespaceSplit":
      return split(matcherOf(/\p{White_Space}/gu), "Removed", false);
    case "Punctuation": // what ASCII has as symbols counts, as for BERT
      return split(matcherOf(/[\p{P}$+<=>^`|~]/gu), json.behavior, false);
    case "CharDelimiterSplit":
      return split(compilePattern({ String: json.delimiter }, "pre_tokenizer.delimiter"), "Removed", false);
    case "BertPreTokenizer":
      return (aligned, from, to, emit) => splitBert(aligned.text, from, to, (start, end) => emit(aligned, start, end));
  }
}

function inTurn(first: PreTokenizer, second: PreTokenizer): PreTokenizer {
  return (aligned, from, to, emit) => first(aligned, from, to, (text, start, end) => second(text, start, end, emit));
}

/** A word as the characters of its bytes. */
const spelled: PreTokenizer = (aligned, from, to, emit) => {
  const out = new AlignedWriter(aligned);
  for (let at = from, next = from; at < to; at = next) {
    next = at + widthAt(aligned.text, at);
    out.write(spellBytes(aligned.text.slice(at, next)), at);
  }
  const { text } = out.toText();
  emit(out.toText(), 0, text.length);
};

function fixedLength(length: number, aligned: AlignedText, from: number, to: number, emit: Emit): void {
  for (let start = from, end = from; start < to; start = end) {
    for (let count = 0; count < length && end < to; count++) end += widthAt(aligned.text, end);
    emit(aligned, start, end);
  }
}

function byteLevel(addPrefixSpace: boolean, useRegex: boolean): PreTokenizer {
  const kinds = characterKinds();
  return (aligned, from, to, emit) => {
    let [text, at, last] = [aligned, from, to];
    if (addPrefixSpace && at < last && text.text.charCodeAt(at) !== 0x20) {
      text = prepend(" ", aligned, from, to);
      [at, last] = [0, text.text.length];
    }
    if (!useRegex) {
      if (at < last) emit(text, at, last);
      return;
    }
    for (let end = at; at < last; at = end) {
      end = endOfWord(text.text, at, last, kinds);
      emit(text, at, end);
    }
  };
}

/** Cuts at the matches (or, inverted, at what lies between); `behavior` says what becomes of them. */
function split(matches: Matcher, behavior: Behavior, invert: boolean): PreTokenizer {
  return (aligned, from, to, emit) => {
    const stretches: { start: number; end: number; matches: boolean }[] = [];
    // A match of nothing, as of \b, cuts too.
    const add = (start: number, end: number, matches: boolean) => {
      if (start < end || matches) stretches.push({ start: start + from, end: end + from, matches: matches !== invert });
    };
    const text = aligned.text.slice(from, to);
    let at = 0;
    const places = matches(text);
    for (let i = 0; i < places.length; i += 2) {
      add(at, places[i]!, false);
      at = places[i + 1]!;
      add(places[i]!, at, true);
    }
    add(at, text.length, false);

    for (let i = 0; i < stretches.length; i++) {
      const { start, matches } = stretches[i]!;
      if (matches && behavior === "Removed") continue;
      while (i + 1 < stretches.length && goesWith(stretches[i]!, stretches[i + 1]!, behavior)) i++;
      const { end } = stretches[i]!;
      if (start < end) emit(aligned, start, end);
    }
  };
}

function goesWith(one: { matches: boolean }, next: { matches: boolean }, behavior: Behavior): boolean {
  if (behavior === "Contiguous") return one.matches === next.matches;
  if (behavior === "MergedWithPrevious") return !one.matches && next.matches;
  return behavior === "MergedWithNext" && one.matches && !next.matches;
}
