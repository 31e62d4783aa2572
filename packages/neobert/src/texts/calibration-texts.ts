// The texts that int8 models are measured on when nobody gives others: a few kinds of English and one of code, from three words to a
// paragraph. What matters is that every channel of a model comes near its usual range, for which a few hundred tokens do.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ModelArchitecture } from "../model/architectures.js";
import type { PackedBatch } from "../model/packed-batch.js";
import { loadTokenizer } from "../tokenizer/index.js";

const TEXTS = [
  "The committee will publish its report on the new railway line next week.",
  "In mice, loss of the receptor reduced the inflammatory response by 43% (p < 0.01), which suggests a causal role.",
  "How do I reset my password if I no longer have access to the phone number?",
  "import numpy as np; x = np.zeros((3, 4)) # shape of the result",
  "She had never seen the sea before; when the train came out of the tunnel, there it was, grey and endless.",
  "GDP grew 2.3 percent in the third quarter, the Commerce Department said on Thursday.",
  "A man is playing the guitar.",
  "best running shoes",
  "The parties agree that this contract is governed by the law of the Netherlands, and that any dispute arising from it will be brought before the courts of Amsterdam.",
  "Photosynthesis stores the energy of light in sugars. In the first stage, pigments in the membranes of the chloroplast absorb light and split water, which sets oxygen free and leaves energy in two carriers. In the second stage these carriers drive a cycle of reactions that builds carbon dioxide from the air into molecules of three carbon atoms, from which the plant makes glucose, starch and cellulose. Where it is hot and dry, some plants take up carbon dioxide at night, so that their pores can stay closed by day.",
  "lol no way!!! i can't believe they cancelled it again :( #sad",
  "Heat the oil, add two chopped onions and fry them for ten minutes; stir in the spices, then the tomatoes, and leave it to simmer.",
];

/** Most tokens of one of them. */
const MOST_TOKENS = 128;

/** The texts packed as the model of `folder` reads them; ids spread over the vocabulary where the folder has no tokenizer. */
export function calibrationBatch(
  folder: string,
  { architecture }: { architecture: ModelArchitecture },
  texts: readonly string[] = TEXTS,
): PackedBatch {
  const maxLength = Math.min(architecture.maxPositions(), MOST_TOKENS);
  const all = idsOf(folder, architecture, texts, maxLength).filter(({ length }) => length > 0);
  const cuSeqlens = [0];
  for (const { length } of all) cuSeqlens.push(cuSeqlens.at(-1)! + length);
  return { ids: Int32Array.from(all.flatMap((ids) => [...ids])), cuSeqlens: Int32Array.from(cuSeqlens) };
}

function idsOf(
  folder: string,
  { config }: ModelArchitecture,
  texts: readonly string[],
  maxLength: number,
): Int32Array[] {
  if (existsSync(join(folder, "tokenizer.json")) || existsSync(join(folder, "vocab.txt"))) {
    const tokenizer = loadTokenizer(folder);
    return texts.map((text) => tokenizer.encode(text, { maxLength, truncation: "longestFirst", padding: false }).ids);
  }
  const step = 7919; // a prime, so that ids spread over the vocabulary
  const each = Math.min(maxLength, 24);
  return texts.map((_, i) =>
    Int32Array.from({ length: each }, (_, j) => ((i * 24 + j + 1) * step) % config.vocab_size),
  );
}
