// `neobert fill-mask MODEL TEXT`: the likely tokens for each [MASK].

import { Command, InvalidArgumentError } from "commander";
import { FillMask } from "../encoder/fill-mask.js";

export function fillMaskCommand(): Command {
  return new Command("fill-mask")
    .description("Shows the most likely tokens for each [MASK] of a text.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<text>", 'text with [MASK], such as "The capital of France is [MASK]."')
    .option("--top-k <n>", "tokens to show for each [MASK]", positive, 5)
    .option("--json", "print JSON")
    .action(run);
}

async function run(model: string, text: string, { topK, json }: { topK: number; json?: boolean }): Promise<void> {
  const fillMask = await FillMask.load(model);
  const fillings = await fillMask.fill(text, { topK });
  if (json) {
    console.log(JSON.stringify(fillings, null, 2));
    return;
  }
  for (const [index, choices] of fillings.entries()) {
    if (fillings.length > 1) console.log(`[MASK] ${index + 1}`);
    for (const { score, token, sequence } of choices) {
      console.log(`${(100 * score).toFixed(1).padStart(5)} %  ${token.padEnd(16)} ${sequence}`);
    }
  }
}

function positive(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError("Expected a whole number of 1 or more.");
  return number;
}
