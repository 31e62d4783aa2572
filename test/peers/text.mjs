// Real text for the checks: the first documents of C4 where ../shared/data is there, else this repository's own sources.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = join(root, "..", "shared", "data");
const c4 = join(shared, "c4-sample", "c4_sample.jsonl.gz");

/** Folders of the published tokenizers of bert-base-uncased and roberta-base; undefined where they are not there. */
export const bertFolder = [join(shared, "tokenizers", "bert-base-uncased")].find(existsSync);
export const robertaFolder = [join(shared, "tokenizers", "roberta-base")].find(existsSync);

/** At most `count` documents. */
export function documents(count) {
  if (existsSync(c4)) {
    const lines = gunzipSync(readFileSync(c4)).toString().trimEnd().split("\n");
    return lines.slice(0, count).map((line) => JSON.parse(line).text);
  }
  return readdirSync(join(root, "packages"), { recursive: true })
    .filter((path) => /^[^/]+\/(src|native)\/.*\.(ts|cc|h)$/.test(path))
    .sort()
    .slice(0, count)
    .map((path) => readFileSync(join(root, "packages", path), "utf8"));
}
