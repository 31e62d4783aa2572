// `neobert export gguf MODEL OUT.gguf`: a file for llama.cpp.

import { Command, Option } from "commander";
import { exportGguf, type GgufExportOptions } from "../export/gguf.js";
import { resolveModel } from "../hub/resolve.js";

export function exportGgufCommand(): Command {
  return new Command("gguf")
    .summary("GGUF file for llama.cpp")
    .description(
      "Writes the encoder and its tokenizer as a GGUF file for llama.cpp's bert, nomic-bert, modern-bert and neo-bert.\n" +
        "Heads are left out: llama.cpp computes embeddings with these.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "new file")
    .addOption(new Option("--dtype <type>", "type of the matrices").choices(["fp32", "fp16"]).default("fp16"))
    .addOption(
      new Option(
        "--pooling <how>",
        "a text's vector (default: the embedder's own, else NeoBERT cls, others mean)",
      ).choices(["cls", "mean", "none"]),
    )
    .action(run);
}

async function run(model: string, out: string, options: GgufExportOptions): Promise<void> {
  const { architecture, tensors, notes } = exportGguf(await resolveModel(model), out, options);
  console.log(`${out}: ${architecture}, ${tensors} tensors`);
  for (const note of notes) console.log(`  ${note}`);
}
