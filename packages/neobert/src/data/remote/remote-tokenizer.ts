// The tokenizer beside shards at an address, in a local folder: a tokenizer's files are read whole and by many.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../files/atomic.js";
import { RemoteFiles, remoteCache } from "./remote-files.js";

/** What `saveTokenizer` writes and `loadTokenizer` reads, the first of them always. */
const names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];
const mostBytes = 400_000_000;

const hashOf = (files: readonly (Uint8Array | undefined)[]) => {
  const hash = createHash("sha256");
  for (const bytes of files) hash.update(`${bytes?.length} `).update(bytes ?? "");
  return hash.digest("hex");
};

/** A folder with the tokenizer that a split or a whole prepared folder at an address was made with. Throws where there is none. */
export function fetchTokenizer(address: string): string {
  const remote = new RemoteFiles(address);
  try {
    for (const folder of ["tokenizer", "../tokenizer"]) {
      const [json, ...others] = names.map((name) => remote.small(`${folder}/${name}`, mostBytes));
      if (json === undefined) continue;
      const local = join(remoteCache(), "tokenizers", hashOf([json, ...others]));
      mkdirSync(local, { recursive: true });
      for (const [index, bytes] of [json, ...others].entries()) {
        if (bytes !== undefined) writeFileAtomic(join(local, names[index]!), bytes);
      }
      return local;
    }
  } finally {
    remote.close();
  }
  throw new Error(
    `${address}: expected tokenizer/tokenizer.json there or beside it, got no such file\n` +
      "Name the tokenizer that the data were prepared with: tokenizer=FOLDER.",
  );
}
