// Each normalizer, pre-tokenizer, post-processor and decoder against Hugging Face's Rust tokenizers, on a small
// vocabulary and hard texts (made by tools/tokenizer-parts.mjs).

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type Encoding, Tokenizer } from "./index.js";

interface Golden {
  base: object;
  texts: string[];
  cases: {
    name: string;
    variant: object;
    results: {
      ids: number[];
      offsets: [number, number][];
      tokens: string[];
      decoded?: string;
      pair: { ids: number[]; offsets: [number, number][]; typeIds: number[] };
    }[];
  }[];
}

const file = new URL("../../../../test/golden/tokenizers/parts.json.gz", import.meta.url);
const { base, texts, cases }: Golden = JSON.parse(gunzipSync(readFileSync(file)).toString());
const offsetsOf = ({ offsets, ids }: Encoding) => Array.from(ids, (_, i) => [offsets[2 * i], offsets[2 * i + 1]]);

test.each(cases)(
  "with $name: ids, offsets, tokens, pairs and text are those of the Rust tokenizers",
  ({ variant, results }) => {
    const tokenizer = Tokenizer.fromJSON({ ...base, ...variant });
    for (const [i, wanted] of results.entries()) {
      const text = texts[i]!;
      const encoding = tokenizer.encode(text);
      const pair = tokenizer.encode(text, { pair: texts[(i + 5) % texts.length]! });
      const got = {
        ids: Array.from(encoding.ids),
        offsets: offsetsOf(encoding),
        tokens: encoding.tokens,
        ...(wanted.decoded === undefined ? {} : { decoded: tokenizer.decode(encoding.ids) }),
        pair: { ids: Array.from(pair.ids), offsets: offsetsOf(pair), typeIds: Array.from(pair.typeIds) },
      };
      expect(got, JSON.stringify(text)).toEqual(wanted);
      const fast = tokenizer.encodeIds(text);
      expect(fast, JSON.stringify(text)).toEqual(tokenizer.encode(text, { addSpecialTokens: false }).ids);
    }
  },
);
