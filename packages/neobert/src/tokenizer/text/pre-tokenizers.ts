// Pre-tokenizers of tokenizer.json: the cut of a normalized text into the words that the model splits. Each hands its
// words on as stretches of a text; only add_prefix_space makes a new text. ByteLevel's bytes are the model's affair.

import type { PreTokenizerJSON } from "../json/schema.js";
import { type AlignedText, prepend } from "./aligned-text.js";
import { splitBert } from "./bert-text.js";
import { characterKinds, endOfWord } from "./gpt2-words.js";
import { type Matcher, matcherOf } from "./matcher.js";
import { compilePattern } from "./pattern.js";

export type Emit = (aligned: AlignedText, from: number, to: number) => void;
export type PreTokenizer = (aligned: AlignedText, from: number, to: number, emit: Emit) => void;

type Behavior = "Removed" | "Isolated" | "MergedWithPrevious" | "MergedWithNext" | "Contiguous";

export function preTokenizerFromJSON(json: PreTokenizerJSON | null): PreTokenizer {
  if (json === null) return (aligned, from, to, emit) => emit(aligned, from, to);
  switch (json.type) {
    case "Sequence":
      return json.pretokenizers.map(preTokenizerFromJSON).reduce(inTurn, preTokenizerFromJSON(null));
    case "ByteLevel":
      return byteLevel(json.add_prefix_space, json.use_regex);
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
    const add = (start: number, end: number, matches: boolean) => {
      if (start < end) stretches.push({ start: start + from, end: end + from, matches: matches !== invert });
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
      emit(aligned, start, stretches[i]!.end);
    }
  };
}

function goesWith(one: { matches: boolean }, next: { matches: boolean }, behavior: Behavior): boolean {
  if (behavior === "Contiguous") return one.matches === next.matches;
  if (behavior === "MergedWithPrevious") return !one.matches && next.matches;
  return behavior === "MergedWithNext" && one.matches && !next.matches;
}
