// Hugging Face's Rust tokenizers through their npm package, the other side of bench/tokenizer.mjs and the source of
// the character tables. It is fetched once into .cache/bench-tokenizer, so it never becomes a dependency of ours.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const peerVersion = "0.23.2";
const folder = fileURLToPath(new URL("../.cache/bench-tokenizer/", import.meta.url));

/** The module `tokenizers`, installed on first use. */
export function loadPeer() {
  if (!existsSync(join(folder, "node_modules/tokenizers/package.json"))) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
    console.error(`Installing tokenizers@${peerVersion} into .cache/bench-tokenizer`);
    execFileSync("npm", ["install", "--no-audit", "--no-fund", "--silent", `tokenizers@${peerVersion}`], {
      cwd: folder,
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  return createRequire(folder)("tokenizers");
}
