// NFC, NFD, NFKC and NFKD with alignments. A text that is in the form already stays as it is (the engine checks that
// fast). Else the characters come from the engine's normalize, one at a time, and the algorithm (Unicode annex 15) is
// written out, since each step decides which character of the original a result is counted to: that of Hugging Face's
// Rust tokenizers in the same position, even where marks changed places.

import { type AlignedText, AlignedWriter, widthAt } from "../text/aligned-text.js";
import { undecomposed } from "./unicode-tables.js";

export type UnicodeForm = "NFC" | "NFD" | "NFKC" | "NFKD";

/** A character of the result. `change` is 1 where it was inserted, -n where n characters after its own are gone. */
interface Change {
  char: string;
  change: number;
}

const newer = new Set(undecomposed.map((code) => String.fromCodePoint(code)));

export function unicodeForm(aligned: AlignedText, form: UnicodeForm): AlignedText {
  const { text } = aligned;
  if (text.normalize(form) === text) return aligned;
  const decomposed = decompose(text, form.startsWith("NFK") ? "NFKD" : "NFD");
  const changes = form.endsWith("C") ? compose(decomposed) : decomposed;
  const out = new AlignedWriter(aligned);
  let at = 0;
  for (const { char, change } of changes) {
    if (change > 0) {
      out.write(char, at - 1);
      continue;
    }
    out.write(char, at);
    for (let i = 0; i <= -change && at < text.length; i++) at += widthAt(text, at);
  }
  return out.toText();
}

/** The decomposition, marks in canonical order. */
function decompose(text: string, form: "NFD" | "NFKD"): Change[] {
  const result: Change[] = [];
  let marks: Change[] = [];
  const flush = () => {
    if (marks.length > 1) marks = reorder(marks);
    for (const mark of marks) result.push(mark);
    marks = [];
  };
  for (const char of text) {
    let change = 0;
    for (const part of newer.has(char) ? [char] : char.normalize(form)) {
      if (!isMark(part)) flush();
      if (isMark(part)) marks.push({ char: part, change });
      else result.push({ char: part, change });
      change = 1;
    }
  }
  flush();
  return result;
}

/** The marks sorted by combining class, equal ones as they were. */
function reorder(marks: Change[]): Change[] {
  const waiting = new Map<string, Change[]>();
  for (const mark of marks) {
    const same = waiting.get(mark.char);
    if (same) same.push(mark);
    else waiting.set(mark.char, [mark]);
  }
  const taken = new Map<string, number>();
  return Array.from(
    marks
      .map(({ char }) => char)
      .join("")
      .normalize("NFD"),
    (char) => {
      const index = taken.get(char) ?? 0;
      taken.set(char, index + 1);
      return waiting.get(char)![index]!;
    },
  );
}

function compose(decomposed: Change[]): Change[] {
  const result: Change[] = [];
  let starter: Change | undefined;
  let blocking: string | undefined;
  for (const { char, change } of decomposed) {
    const blocked = blocking !== undefined && (!isMark(char) || haveOneClass(blocking, char));
    const composed: string | undefined = starter && !blocked ? pairOf(starter.char, char) : undefined;
    if (starter && composed !== undefined) {
      starter.char = composed;
      starter.change += change - 1;
      continue;
    }
    const added = { char, change };
    result.push(added);
    if (!isMark(char)) {
      starter = added;
      blocking = undefined;
    } else if (starter) {
      blocking = char;
    }
  }
  return result;
}

const pairs = new Map<string, string | undefined>();

/** The one character that the two compose to. */
function pairOf(first: string, second: string): string | undefined {
  const key = first + second;
  if (pairs.has(key)) return pairs.get(key);
  const composed = key.normalize("NFC");
  const isOne = composed.length === widthAt(composed, 0) && !newer.has(composed);
  pairs.set(key, isOne ? composed : undefined);
  return pairs.get(key);
}

const lastMark = "\u0345";
const markness = new Map<string, boolean>();

/** Whether the combining class is not 0: such a character moves before U+0345, whose class is the greatest. */
function isMark(char: string): boolean {
  if (char < "\u0300") return false;
  let known = markness.get(char);
  if (known === undefined) {
    known = char === lastMark || (lastMark + char).normalize("NFD") !== lastMark + char.normalize("NFD");
    markness.set(char, known);
  }
  return known;
}

/** Whether two marks, in canonical order, are of one combining class: then they keep their order. */
function haveOneClass(first: string, second: string): boolean {
  return first === second || (second + first).normalize("NFD") === second + first;
}
