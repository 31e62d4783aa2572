// The input of a preparation as batches of texts for the tokenizing workers, from any place in it on.
import { type ReadOptions, readDocuments } from "./read/read.js";

/** A document's file, its number in the file, and its number in the whole input. */
export interface InputPosition {
  file: number;
  documentInFile: number;
  document: number;
}

/** Consecutive texts of one file; the position is that of the first. */
export interface TextBatch extends InputPosition {
  texts: string[];
}

const batchCharacters = 1 << 18;

/** Batches of texts from `position` on, never of two files. */
export async function* readBatches(
  files: string[],
  position: InputPosition,
  options: ReadOptions,
): AsyncGenerator<TextBatch> {
  let { document } = position;
  for (let file = position.file; file < files.length; file++) {
    const skip = file === position.file ? position.documentInFile : 0;
    let documentInFile = 0;
    let [texts, characters]: [string[], number] = [[], 0];
    const batch = (): TextBatch => {
      const { length } = texts;
      const made = { texts, file, documentInFile: documentInFile - length, document: document - length };
      [texts, characters] = [[], 0];
      return made;
    };
    for await (const { text } of readDocuments(files[file]!, options)) {
      if (documentInFile++ < skip) continue;
      document++;
      texts.push(text);
      characters += text.length;
      if (characters >= batchCharacters) yield batch();
    }
    if (texts.length > 0) yield batch();
  }
}
