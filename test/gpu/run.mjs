// `npm run test:gpu`: what is computed on a GPU against the golden files, the CPU and itself; skipped, with the reason, where no
// GPU can be used. `--device=cuda:1` takes another one; `--device=cpu` runs the same tests there, so that they are known to run.
// Only Node and what this repository has built are needed: no vitest, no network.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { useCuda } from "#torch/index";

const folder = dirname(fileURLToPath(import.meta.url));
const device = process.argv.find((word) => word.startsWith("--device="))?.slice(9) ?? "cuda:0";

function reasonToSkip() {
  if (device === "cpu") return undefined;
  try {
    useCuda(device);
  } catch (error) {
    return error.message;
  }
}

const reason = reasonToSkip();
if (reason !== undefined) console.log(`test:gpu: skipped, as no GPU can be used here\n${reason}`);
else {
  const files = readdirSync(folder).filter((name) => name.endsWith(".test.mjs"));
  const args = ["--test", "--test-concurrency=1", "--test-reporter=spec", ...files.map((name) => join(folder, name))];
  const { status } = spawnSync(process.execPath, args, {
    stdio: "inherit",
    env: { ...process.env, GPU_TEST_DEVICE: device },
  });
  process.exitCode = status ?? 1;
}
