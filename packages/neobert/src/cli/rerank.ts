// `neobert rerank MODEL QUERY [FILE]`: texts sorted by how well they answer a query, by a cross-encoder.

import { Command } from "commander";
import { CrossEncoder } from "../encoder/cross-encoder.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given, positive } from "./option-values.js";
import { addInputOptions, allTexts, type InputFlags } from "./read-texts.js";

export function rerankCommand(): Command {
  const command = new Command("rerank")
    .description("Sorts texts by how well they answer a query, each read together with it.")
    .argument("<model>", "model folder, run folder, or name on the Hub: a classifier with one label")
    .argument("<query>", "the question or search")
    .argument("[file]", "file of texts; - is standard input", "-")
    .option("--top-k <n>", "texts to show", positive, 10)
    .option("--json", "print JSON lines");
  return addModelOptions(addInputOptions(command)).action(run);
}

type RerankFlags = ModelFlags & InputFlags & { topK: number; json?: boolean };

async function run(model: string, query: string, file: string, flags: RerankFlags): Promise<void> {
  const texts = await allTexts(file, flags);
  await using crossEncoder = await CrossEncoder.load(model, loadOptions(flags));
  const { topK, maxTokens } = flags;
  for (const ranked of await crossEncoder.rerank(query, texts, given({ topK, maxTokens }))) {
    console.log(flags.json ? JSON.stringify(ranked) : `${ranked.score.toFixed(4).padStart(8)}  ${ranked.text}`);
  }
}
