// A folder whose tokenizer has more tokens than the model's embedding has rows computes some texts and not others, wherever
// it is loaded: it is not exported.

import { loadTokenizer, type Tokenizer } from "../tokenizer/index.js";

/** Throws, naming one, where the tokenizer of a folder gives ids that the model has no row for. */
export function checkTokenRows(where: string, folder: string, vocabSize: number): void {
  const tokenizer = ownTokenizer(folder);
  if (!tokenizer || tokenizer.maxId < vocabSize) return;
  let id = vocabSize;
  while (tokenizer.idToToken(id) === undefined) id++;
  throw new Error(
    `${where}: ${folder}: expected tokens with ids below the model's vocab_size ${vocabSize}, got ${tokenizer.idToToken(id)}, id ${id}\n` +
      "Take the tokenizer that the model was trained with, or delete the tokens that it does not know.",
  );
}

/** Undefined where there is none, or one of another kind than are read here, which is copied as it is. */
function ownTokenizer(folder: string): Tokenizer | undefined {
  try {
    return loadTokenizer(folder);
  } catch {
    return undefined;
  }
}
