// `neobert export hf MODEL OUT`: a Hugging Face folder in the published form.

import { Command, InvalidArgumentError, Option } from "commander";
import { exportHf, type HfExportOptions } from "../export/hf.js";
import { resolveModel } from "../hub/resolve.js";

export function exportHfCommand(): Command {
  return new Command("hf")
    .summary("Hugging Face folder: config, safetensors, tokenizer, model card")
    .description(
      "Writes a Hugging Face folder in the published form, whatever form the model has: old tensor names, sharded or\n" +
        "half-precision weights, NomicBERT's remote-code config. An embedder keeps its sentence-transformers modules.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "new folder")
    .addOption(new Option("--pooling <how>", "make an embedder of it").choices(["cls", "mean"]))
    .option("--normalize", "with --pooling: vectors of length 1")
    .option("--max-tokens <n>", "with --pooling: longest text in tokens", positive)
    .action(run);
}

async function run(model: string, out: string, options: HfExportOptions): Promise<void> {
  if (!options.pooling && (options.normalize || options.maxTokens)) {
    throw new Error("export hf: expected --pooling with --normalize and --max-tokens, got none");
  }
  const { files, className, parameters } = exportHf(await resolveModel(model), out, options);
  console.log(`${out}: ${className}, ${parameters.toLocaleString("en-US")} parameters`);
  for (const file of files) console.log(`  ${file}`);
}

function positive(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("Expected a whole number of 1 or more.");
  return number;
}
