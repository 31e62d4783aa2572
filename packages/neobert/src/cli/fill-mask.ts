// `neobert fill-mask MODEL TEXT`: the likely tokens for each [MASK].

import { Command } from "commander";
import { FillMask } from "../encoder/fill-mask.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given, positive } from "./option-values.js";

export function fillMaskCommand(): Command {
  const command = new Command("fill-mask")
    .description("Shows the most likely tokens for each [MASK] of a text.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<text>", 'text with [MASK], such as "The capital of France is [MASK]."')
    .option("--top-k <n>", "tokens to show for each [MASK]", positive, 5)
    .option("--json", "print JSON");
  return addModelOptions(command).action(run);
}

async function run(model: string, text: string, flags: ModelFlags & { topK: number; json?: boolean }): Promise<void> {
  await using fillMask = await FillMask.load(model, loadOptions(flags));
  const fillings = await fillMask.fill(text, given({ topK: flags.topK, maxTokens: flags.maxTokens }));
  if (flags.json) {
    console.log(JSON.stringify(fillings, null, 2));
    return;
  }
  for (const [index, choices] of fillings.entries()) {
    if (fillings.length > 1) console.log(`${fillMask.maskToken} ${index + 1}`);
    for (const { score, token, sequence } of choices) {
      console.log(`${(100 * score).toFixed(1).padStart(5)} %  ${token.padEnd(16)} ${sequence}`);
    }
  }
}
