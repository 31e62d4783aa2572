// The post-processor: which special tokens stand around a text or a pair, and the type id of every part.
// BertProcessing is the template [CLS] A [SEP] B:1 [SEP]:1, RobertaProcessing <s> A </s> </s> B </s>. RobertaProcessing and
// ByteLevel take the spaces at a token's ends out of its offsets, too.

import { shown } from "../files/checked.js";
import { type Encoding, join, makeEncoding } from "./encoding.js";
import type { PostProcessorJSON } from "./json/schema.js";

type Part = { sequence: 0 | 1; typeId: number } | { ids: number[]; tokens: string[]; typeId: number };

export interface Template {
  single: Part[];
  pair: Part[];
  /** Whether offsets leave the spaces at a token's ends out, and whether the first token's space was put before it. */
  trimOffsets?: { addPrefixSpace: boolean };
}

/** The template of a post-processor. Throws where a piece names a special token that is not listed. */
export function templateFromJSON(json: PostProcessorJSON | null): Template {
  const a: Part = { sequence: 0, typeId: 0 };
  const b: Part = { sequence: 1, typeId: 1 };
  if (json === null) return { single: [a], pair: [a, b] };
  if (json.type === "Sequence") return sequence(json.processors);
  if (json.type === "ByteLevel") return { single: [a], pair: [a, b], ...trimming(json) };
  if (json.type === "RobertaProcessing") {
    const special = ([token, id]: [string, number]): Part => ({ ids: [id], tokens: [token], typeId: 0 });
    const [cls, sep] = [special(json.cls), special(json.sep)];
    return { single: [cls, a, sep], pair: [cls, a, sep, sep, { ...b, typeId: 0 }, sep], ...trimming(json) };
  }
  if (json.type === "BertProcessing") {
    const special = ([token, id]: [string, number], typeId: number): Part => ({ ids: [id], tokens: [token], typeId });
    const single = [special(json.cls, 0), a, special(json.sep, 0)];
    return { single, pair: [...single, b, special(json.sep, 1)] };
  }
  const parts = (pieces: typeof json.single) =>
    pieces.map((piece): Part => {
      if ("Sequence" in piece) return { sequence: piece.Sequence.id === "A" ? 0 : 1, typeId: piece.Sequence.type_id };
      const { id, type_id: typeId } = piece.SpecialToken;
      const special = Object.hasOwn(json.special_tokens, id) ? json.special_tokens[id] : undefined;
      if (!special) {
        throw new Error(
          `tokenizer.json: expected post_processor.special_tokens to list ${id.slice(0, 200)}, got ${String(Object.keys(json.special_tokens)).slice(0, 200)}\n` +
            "Add the token's id there, or take the piece out of the template.",
        );
      }
      return { ids: special.ids, tokens: special.tokens, typeId };
    });
  return { single: parts(json.single), pair: parts(json.pair) };
}

function trimming(json: { trim_offsets: boolean; add_prefix_space: boolean }): Pick<Template, "trimOffsets"> {
  return json.trim_offsets ? { trimOffsets: { addPrefixSpace: json.add_prefix_space } } : {};
}

/** The one template of a Sequence, with ByteLevel's care for offsets. */
function sequence(steps: Exclude<PostProcessorJSON, { type: "Sequence" }>[]): Template {
  const templates = steps.filter(({ type }) => type !== "ByteLevel");
  if (templates.length > 1) {
    throw new Error(
      `tokenizer.json: expected post_processor to hold one template, got ${shown(templates.map(({ type }) => type))}\n` +
        "Set the template that puts all special tokens around a text, and ByteLevel beside it.",
    );
  }
  const trims = steps.map(templateFromJSON).find(({ trimOffsets }) => trimOffsets);
  return { ...trims, ...templateFromJSON(templates[0] ?? steps[0] ?? null) };
}

const outerSpaces = /^([\p{White_Space}Ġ]*)[\s\S]*?([\p{White_Space}Ġ]*)$/u;

/** Takes the spaces at the ends of each token out of its offsets, in the overflowing pieces too. */
export function trimOffsets(encoding: Encoding, addPrefixSpace: boolean): void {
  const { offsets, tokens } = encoding;
  for (const [i, token] of tokens.entries()) {
    const [, before, after] = outerSpaces.exec(token)!;
    const [start, end] = [offsets[2 * i]!, offsets[2 * i + 1]!];
    // One space before the first token was put there, so it is not in the text.
    const isPrefix = addPrefixSpace && before!.length === 1 && (i === 0 || start === 0);
    const leading = isPrefix ? 0 : before!.length;
    const trailing = before!.length === token.length ? before!.length : after!.length;
    offsets[2 * i] = Math.min(start + leading, end);
    if (trailing > 0 && end >= trailing) offsets[2 * i + 1] = Math.max(end - trailing, offsets[2 * i]!);
  }
  for (const piece of encoding.overflowing) trimOffsets(piece, addPrefixSpace);
}

/** How many special tokens the template adds. */
export function addedTokenCount(parts: Part[]): number {
  return parts.reduce((sum, part) => sum + ("ids" in part ? part.ids.length : 0), 0);
}

/** The parts in order, with or without the special tokens. */
export function applyTemplate(parts: Part[], texts: Encoding[], addSpecialTokens: boolean): Encoding {
  let result: Encoding | undefined;
  for (const part of parts) {
    let piece: Encoding;
    if ("ids" in part) {
      if (!addSpecialTokens) continue;
      const offsets = new Int32Array(2 * part.ids.length);
      piece = makeEncoding(Int32Array.from(part.ids), offsets, part.tokens, part.typeId);
    } else {
      piece = texts[part.sequence]!;
      for (const encoding of [piece, ...piece.overflowing]) encoding.typeIds.fill(part.typeId);
    }
    result = result ? join(result, piece) : piece;
  }
  return result ?? makeEncoding(new Int32Array(0), new Int32Array(0), [], 0, new Int32Array(0));
}
