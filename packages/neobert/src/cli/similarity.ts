// `neobert similarity MODEL TEXT TEXT...`: how alike texts are, each with each.

import { Command } from "commander";
import { Encoder } from "../encoder/encoder.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given } from "./option-values.js";

export function similarityCommand(): Command {
  const command = new Command("similarity")
    .description("Shows how alike texts are by their vectors: a number for two texts, a table for more.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<texts...>", "two texts or more")
    .option("--json", "print JSON");
  return addModelOptions(command).action(run);
}

async function run(model: string, texts: string[], flags: ModelFlags & { json?: boolean }): Promise<void> {
  if (texts.length < 2)
    throw new Error(
      `similarity: expected two texts or more, got ${texts.length}\nGive them as arguments, each in quotes.`,
    );
  await using encoder = await Encoder.load(model, loadOptions(flags));
  const vectors = await encoder.encode(texts, given({ maxTokens: flags.maxTokens }));
  const scores = encoder.similarity(vectors, vectors);
  if (flags.json) {
    const rows = [...scores].map((row) => [...row]);
    console.log(JSON.stringify({ function: encoder.similarityFunction, texts, scores: rows }));
  } else if (texts.length === 2) console.log(scores.row(0)[1]!.toFixed(4));
  else {
    for (const [i, row] of [...scores].entries()) {
      console.log(`${[...row].map((score) => score.toFixed(4).padStart(8)).join("")}  ${texts[i]}`);
    }
  }
}
