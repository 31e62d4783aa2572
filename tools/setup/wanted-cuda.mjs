// Whether the set-up is to find or fetch a libtorch with CUDA: as NEOBERT_CUDA says (1 or 0), else where a GPU answers and a person
// who is asked agrees. Where nobody can be asked nothing of gigabytes is fetched, and a line says how to have it.
import { createInterface } from "node:readline/promises";
import { run, SetupError } from "./steps.mjs";

/** True or false; `isAsking` says whether a person sits there who started the set-up itself. */
export async function wantedCuda({ env = process.env, isAsking, ask = question }) {
  const { NEOBERT_CUDA: said = "" } = env;
  if (said === "0" || said === "1") return said === "1";
  if (said !== "") {
    throw new SetupError(
      `set-up: expected NEOBERT_CUDA to be 1 or 0, got ${said}\nset it to 1 to have CUDA's libraries fetched, or unset it`,
    );
  }
  if (!isAsking) return false;
  const { code, output } = await run("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"], { env });
  const [gpu] = code === 0 ? output.trim().split("\n") : [];
  if (!gpu) return false;
  const what = `a GPU answers (${gpu}): CUDA's libraries for it are 3.6 GB to fetch and 5.8 GB on the disk, unless Python's torch has them`;
  const answer = await ask(`${what}. Use it? [y/N] `);
  if (answer === undefined) console.log(`${what}; NEOBERT_CUDA=1 has them found or fetched`);
  return /^y(es)?$/i.test(answer?.trim() ?? "");
}

/** The line that a person types; undefined where there is no terminal. */
async function question(text) {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await lines.question(text);
  } finally {
    lines.close();
  }
}
