// `neobert zero-shot MODEL [TEXT...] --labels A,B,C`: labels of one's own choice, by a model of natural language inference.

import { Command } from "commander";
import { ZeroShotClassifier } from "../encoder/zero-shot-classifier.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given } from "./option-values.js";
import { addInputOptions, allTexts, type InputFlags } from "./read-texts.js";

interface ZeroShotFlags extends ModelFlags, InputFlags {
  file?: string;
  labels: string;
  template?: string;
  multiLabel?: boolean;
  json?: boolean;
}

export function zeroShotCommand(): Command {
  const command = new Command("zero-shot")
    .description("Shows how well labels of your choice fit texts, by a model of natural language inference.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("[texts...]", "the texts, where they do not come from a file")
    .requiredOption("--labels <list>", "the labels, with commas between them")
    .option("--file <file>", "file of texts; - is standard input")
    .option("--template <text>", "what a text may entail, {} being the label (default: This example is {}.)")
    .option("--multi-label", "judge each label on its own")
    .option("--json", "print JSON lines");
  return addModelOptions(addInputOptions(command)).action(run);
}

async function run(model: string, words: string[], flags: ZeroShotFlags): Promise<void> {
  const texts = flags.file === undefined ? words : await allTexts(flags.file, flags);
  if (texts.length === 0) throw new Error("zero-shot: expected texts, got none\nName them, or a file with --file.");
  const labels = flags.labels
    .split(",")
    .map((label) => label.trim())
    .filter(Boolean);
  await using classifier = await ZeroShotClassifier.load(model, loadOptions(flags));
  const { template: hypothesisTemplate, multiLabel, maxTokens } = flags;
  const results = await classifier.classify(texts, labels, given({ hypothesisTemplate, multiLabel, maxTokens }));
  for (const [i, result] of results.entries()) {
    const lines = result.map(({ label, score }) => `${(100 * score).toFixed(1).padStart(7)} %  ${label}`);
    console.log(flags.json ? JSON.stringify({ text: texts[i], labels: result }) : [texts[i], ...lines].join("\n"));
  }
}
