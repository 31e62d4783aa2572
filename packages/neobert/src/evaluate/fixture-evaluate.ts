// For tests: expected values made by scikit-learn, scipy, pytrec_eval and mteb (test/golden/metrics). Each file's `rule` says
// by which call.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

// biome-ignore lint/suspicious/noExplicitAny: every golden file has a form of its own
export function golden(name: string): any {
  const bytes = readFileSync(fileURLToPath(new URL(`../../../../test/golden/metrics/${name}`, import.meta.url)));
  return JSON.parse((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString());
}
