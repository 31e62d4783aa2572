// The bundled page of the server, made by tools/page.mjs unless no source of it changed.
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hashFiles, listFiles, readText, run, SetupError, tail } from "./steps.mjs";

/** Bundles; returns what it did. */
export async function bundlePage({ root, stamp, logFile }) {
  const bundler = join(root, "tools", "page.mjs");
  const neobert = join(root, "packages", "neobert");
  const sources = listFiles(join(neobert, "page"), () => true);
  const hash = hashFiles([...sources, bundler, join(root, "package-lock.json")]);
  if (existsSync(join(neobert, "dist", "page", "page.js")) && readText(stamp) === hash) return "up to date";
  rmSync(stamp, { force: true });
  const { code, output } = await run(process.execPath, [bundler], { cwd: root, logFile });
  if (code !== 0) throw new SetupError(`${tail(output)}\nset-up: the page of the server cannot be bundled`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
  return `bundled, ${sources.length} files`;
}
