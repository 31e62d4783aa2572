// `neobert classify MODEL [TEXT...]`: labels of texts, or of their tokens where the model has a head for those.

import { Command } from "commander";
import { Classifier } from "../encoder/classifier.js";
import { type Aggregation, aggregations } from "../encoder/entities.js";
import { TokenClassifier } from "../encoder/token-classifier.js";
import { resolveModel } from "../hub/resolve.js";
import { headOf, readArchitecture } from "../model/index.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { choice, given, positive } from "./option-values.js";
import { addInputOptions, allTexts, type InputFlags } from "./read-texts.js";

interface ClassifyFlags extends ModelFlags, InputFlags {
  file?: string;
  pair?: string;
  topK: number;
  aggregation: Aggregation;
  json?: boolean;
}

export function classifyCommand(): Command {
  const command = new Command("classify")
    .description("Shows the labels of texts with their scores: of each text, or of the entities in it.")
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("[texts...]", "the texts, where they do not come from a file")
    .option("--file <file>", "file of texts; - is standard input")
    .option("--pair <text>", "second text of every pair, where the model judges pairs")
    .option("--top-k <n>", "labels to show for each text", positive, 5)
    .addOption(choice("--aggregation <how>", "how tokens become entities", aggregations, "simple"))
    .option("--json", "print JSON lines");
  return addModelOptions(addInputOptions(command)).action(run);
}

async function run(model: string, words: string[], flags: ClassifyFlags): Promise<void> {
  const texts = flags.file === undefined ? words : await allTexts(flags.file, flags);
  if (texts.length === 0) throw new Error("classify: expected texts, got none\nName them, or a file with --file.");
  const { onProgress, ...load } = loadOptions(flags);
  const folder = await resolveModel(model, { ...load, ...(onProgress && { onProgress }) });
  const maxTokens = flags.maxTokens;
  const print = (text: string, record: object, lines: string[]) => {
    console.log(flags.json ? JSON.stringify({ text, ...record }) : [text, ...lines].join("\n"));
  };
  if (hasTokenHead(folder)) {
    await using tagger = await TokenClassifier.load(folder, load);
    const tags = await tagger.tag(texts, given({ aggregation: flags.aggregation, maxTokens }));
    for (const [i, entities] of tags.entries()) {
      const lines = entities.map(({ label, score, text }) => `${percent(score)}  ${label.padEnd(16)} ${text}`);
      print(texts[i]!, { entities }, lines);
    }
    return;
  }
  await using classifier = await Classifier.load(folder, load);
  const { pair } = flags;
  const inputs = texts.map((text) => (pair === undefined ? text : { text, pair }));
  const results = await classifier.classify(inputs, given({ topK: flags.topK, maxTokens }));
  for (const [i, labels] of results.entries()) {
    const lines = labels.map(({ label, score }) => `${percent(score)}  ${label}`);
    print(texts[i]!, { labels }, lines);
  }
}

function hasTokenHead(folder: string): boolean {
  return headOf(readArchitecture(folder)) === "tokenClassification";
}

const percent = (score: number) => `${(100 * score).toFixed(1).padStart(7)} %`;
