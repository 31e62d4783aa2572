// Patterns of tokenizer.json (Oniguruma's syntax, as Ruby has it) as regular expressions of JavaScript: \s, \w, \b and [:alpha:]
// are Unicode's, ^ and $ are a line's ends, only \n ends a line, (?i:...) is written out as [xX] and the like, and what cannot be
// said is refused. NOTE: \p{L} and its like are those of the engine, whose Unicode may be newer than that of Hugging Face's
// tokenizers.

import { shown } from "../../files/checked.js";
import type { PatternJSON } from "../json/schema.js";
import { type Matcher, matcherOf } from "./matcher.js";

const LETTERS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** What \w is outside a set, by Oniguruma's table of Latin-1. */
const WORD = `${LETTERS}\\u00b2\\u00b3\\u00b9\\u00bc-\\u00be`;
const HEX = "0-9a-fA-F";

/** [:name:] within a set. */
const posix: Record<string, string> = {
  alpha: "\\p{Alphabetic}",
  alnum: "\\p{Alphabetic}\\p{Nd}",
  blank: "\\p{Zs}\\t",
  cntrl: "\\p{Cc}",
  digit: "\\p{Nd}",
  lower: "\\p{Lowercase}",
  punct: "\\p{P}\\p{S}",
  space: "\\p{White_Space}",
  upper: "\\p{Uppercase}",
  word: LETTERS,
  xdigit: HEX,
};

/** Outside a set: where nothing is matched, and what is not the same in JavaScript. */
const plain: Record<string, string> = {
  ".": "[^\\n]",
  "^": "(?:^|(?<=\\n)(?=[^]))",
  $: "(?=\\n|$)",
  "\\A": "^",
  "\\z": "$",
  "\\Z": "(?=\\n?$)",
  "\\b": `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  "\\B": `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
  "\\w": `[${WORD}]`,
  "\\W": `[^${WORD}]`,
  "\\h": `[${HEX}]`,
  "\\H": `[^${HEX}]`,
};

/** The matches of `pattern` in a text. `where` names the place in the file for errors. */
export function compilePattern(pattern: PatternJSON, where: string): Matcher {
  if ("String" in pattern) return matcherOf(new RegExp(pattern.String.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"), "gu"));
  try {
    return matcherOf(new RegExp(translate(pattern.Regex), "gu"), where);
  } catch (error) {
    throw new Error(
      `tokenizer.json: expected ${where} to be a pattern that JavaScript has too, got ${shown(pattern.Regex, 300)} ` +
        `(${(error as Error).message.slice(-300)})\nLoad a tokenizer without possessive quantifiers, flags within, \\G, \\K and \\R.`,
    );
  }
}

function translate(source: string): string {
  if (source.startsWith("(?i)")) return translate(`(?i:${source.slice(4)})`);
  if (/\[[^\]]*&&/.test(source)) throw new SyntaxError("&& in a set");
  let out = "";
  let inClass = false;
  // Depth of groups, and the depths at which letters match in either case.
  let depth = 0;
  const folded: number[] = [];
  for (const [token] of source.matchAll(/\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|\(\?i:|\[:\w+:\]|[\s\S]/gu)) {
    const name = /^\[:(\w+):\]$/.exec(token)?.[1];
    if (!inClass && Object.hasOwn(plain, token)) out += plain[token];
    else if (inClass && name !== undefined && Object.hasOwn(posix, name)) out += posix[name];
    else if (name !== undefined) throw new SyntaxError(`${token} ${inClass ? "in" : "outside"} a set`);
    else if (token.startsWith("\\")) out += translateEscape(token, inClass);
    else if (inClass) {
      if (token === "[" || (folded.length > 0 && token !== "]")) throw new SyntaxError(`${token} in a set`);
      if (token === "]") inClass = false;
      out += token;
    } else if (token === "(?i:") {
      folded.push(++depth);
      out += "(?:";
    } else {
      if (token === "[") inClass = true;
      if (token === "(") depth++;
      if (token === ")" && folded.at(-1) === depth--) folded.pop();
      out += folded.length > 0 && /^[a-z]$/i.test(token) ? eitherCase(token) : token;
    }
  }
  return out;
}

/** A letter of ASCII in every form that folds to it: those of s and k are the long s and the sign of the kelvin too. */
function eitherCase(letter: string): string {
  const [lower, upper] = [letter.toLowerCase(), letter.toUpperCase()];
  return `[${lower}${upper}${{ s: "\u017f", k: "\u212a" }[lower] ?? ""}]`;
}

function translateEscape(token: string, inClass: boolean): string {
  if (token === "\\s") return "\\p{White_Space}";
  if (token === "\\S") return "\\P{White_Space}";
  if (token === "\\d") return "\\p{Nd}";
  if (token === "\\w") return LETTERS; // in a set
  if (token === "\\h") return HEX;
  if (/^\\[AzZHGKRWbBX]$/.test(token)) throw new SyntaxError(`${token} is not the same there`);
  if (token.startsWith("\\x{")) return `\\u{${token.slice(3, -1)}}`;
  if (/^\\[pP]\{(Han|Hiragana|Katakana|Hangul|Latin|Cyrillic|Arabic|Thai|Greek)\}$/.test(token)) {
    return token.replace("{", "{Script=");
  }
  // With the flag u no other punctuation may be escaped.
  const isNeedless = inClass ? /^\\[^\w^$\\.*+?()[\]{}|/-]$/u : /^\\[^\w^$\\.*+?()[\]{}|/]$/u;
  return isNeedless.test(token) ? token.slice(1) : token;
}
