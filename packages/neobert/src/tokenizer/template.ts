// The post-processor: which special tokens stand around a text or a pair, and the type id of every part.
// BertProcessing is the template [CLS] A [SEP] B:1 [SEP]:1.

import { type Encoding, join, makeEncoding } from "./encoding.js";
import type { PostProcessorJSON } from "./schema.js";

type Part = { sequence: 0 | 1; typeId: number } | { ids: number[]; tokens: string[]; typeId: number };

export interface Template {
  single: Part[];
  pair: Part[];
}

/** The template of a post-processor. Throws where a piece names a special token that is not listed. */
export function templateFromJSON(json: PostProcessorJSON | null): Template {
  const a: Part = { sequence: 0, typeId: 0 };
  const b: Part = { sequence: 1, typeId: 1 };
  if (json === null) return { single: [a], pair: [a, b] };
  if (json.type === "BertProcessing") {
    const special = ([token, id]: [string, number], typeId: number): Part => ({ ids: [id], tokens: [token], typeId });
    const single = [special(json.cls, 0), a, special(json.sep, 0)];
    return { single, pair: [...single, b, special(json.sep, 1)] };
  }
  const parts = (pieces: typeof json.single) =>
    pieces.map((piece): Part => {
      if ("Sequence" in piece) {
        return { sequence: piece.Sequence.id === "A" ? 0 : 1, typeId: piece.Sequence.type_id };
      }
      const { id, type_id: typeId } = piece.SpecialToken;
      const special = json.special_tokens[id];
      if (!special) {
        throw new Error(
          `tokenizer.json: expected post_processor.special_tokens to list ${id}, got ${Object.keys(json.special_tokens)}\n` +
            "Add the token's id there, or take the piece out of the template.",
        );
      }
      return { ids: special.ids, tokens: special.tokens, typeId };
    });
  return { single: parts(json.single), pair: parts(json.pair) };
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
      piece = makeEncoding(Int32Array.from(part.ids), offsets, part.tokens, part.typeId, true);
    } else {
      piece = texts[part.sequence]!;
      for (const encoding of [piece, ...piece.overflowing]) encoding.typeIds.fill(part.typeId);
    }
    result = result ? join(result, piece) : piece;
  }
  return result ?? makeEncoding(new Int32Array(0), new Int32Array(0), [], 0, false);
}
