// JSON files of others: a file that is no JSON is told by its path.

import { readTextFile } from "./lfs-pointer.js";

/** What a JSON file holds. Throws, naming it, where it is none. */
// biome-ignore lint/suspicious/noExplicitAny: files of others, whose fields are checked one by one.
export function readJsonFile(path: string): any {
  const text = readTextFile(path).replace(/^\ufeff/, "");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: expected JSON, got ${(error as Error).message}\nDownload it again.`);
  }
}
