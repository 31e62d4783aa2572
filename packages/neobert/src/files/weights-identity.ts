// What tells one model from another whatever they are called: a hash over the bytes of its weights, configs and tokenizer.
// Kept results, kept vectors and kept graphs name it. Hashing takes a second a gigabyte, so the user's cache holds it beside
// size, inode and times of the files; where one of these differs the bytes are read again.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic.js";
import { walkFiles } from "./glob.js";
import { userCache } from "./user-cache.js";

/**
 * 32 hexadecimal digits of the sha256 over names and bytes of a model folder's .safetensors, .json and .txt files and those of
 * its modules, a level below; deeper ones (results that were written there) are not the model's.
 */
export async function weightsIdentity(folder: string): Promise<string> {
  const names = walkFiles(folder, 2).filter((name) => /\.(safetensors|json|txt)$/.test(name));
  const key = createHash("sha256").update(realpathSync(folder)).digest("hex").slice(0, 32);
  const kept = join(userCache(), "weights", `${key}.json`);
  const state = stateOf(folder, names);
  if (existsSync(kept)) {
    const before = JSON.parse(readFileSync(kept, "utf8"));
    if (before.state === state) return before.identity;
  }
  const hash = createHash("sha256");
  for (const name of names) {
    hash.update(name);
    for await (const chunk of createReadStream(join(folder, name), { highWaterMark: 1 << 20 })) hash.update(chunk);
  }
  const identity = hash.digest("hex").slice(0, 32);
  if (stateOf(folder, names) === state) {
    try {
      mkdirSync(join(userCache(), "weights"), { recursive: true });
      writeFileAtomic(kept, `${JSON.stringify({ state, identity })}\n`);
    } catch {
      // A cache that cannot be written only means that the weights are read again next time.
    }
  }
  return identity;
}

/** All that changes when one of the files is written, replaced or has its time set back. */
function stateOf(folder: string, names: readonly string[]): string {
  return names
    .map((name) => {
      const { size, ino, mtimeNs, ctimeNs } = statSync(join(folder, name), { bigint: true });
      return `${name} ${size} ${ino} ${mtimeNs} ${ctimeNs}`;
    })
    .join("\n");
}
