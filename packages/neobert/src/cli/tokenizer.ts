// `neobert tokenizer train`: a WordPiece or byte-level BPE vocabulary from text files, saved as Hugging Face's libraries read it. Progress
// goes to standard error, the closing line to standard output.

import { Command } from "commander";
import type { TrainingProgress } from "../tokenizer/index.js";
import { type TrainTokenizerOptions, trainTokenizer } from "../train/pretrain/train-tokenizer.js";
import { choice, given, wholeNumber } from "./option-values.js";
import { addInputOptions, formatOfFiles, type InputFlags } from "./read-texts.js";

type TrainFlags = Pick<TrainTokenizerOptions, "out" | "vocabSize"> &
  InputFlags & {
    kind: "wordpiece" | "bpe";
    minFrequency: number;
    modelMaxLength?: number;
    cased?: boolean;
    limitAlphabet?: number;
    maxTokenLength?: number;
  };

/** The command `tokenizer` with its subcommand. */
export function tokenizerCommand(): Command {
  const tokenizer = new Command("tokenizer").summary("train a vocabulary");
  const command = tokenizer
    .command("train")
    .summary("train a WordPiece or byte-level BPE vocabulary")
    .description(
      "Trains a WordPiece (BERT) or byte-level BPE (RoBERTa) vocabulary on text and writes a tokenizer folder. The same text gives the same one.",
    )
    .argument("<sources...>", "files, folders, patterns or hf://datasets/OWNER/NAME")
    .requiredOption("--vocab-size <n>", "tokens in the vocabulary, special ones included", wholeNumber)
    .requiredOption("--out <folder>", "folder to make")
    .addOption(choice("--kind <kind>", "kind of vocabulary", ["wordpiece", "bpe"], "wordpiece"))
    .option("--cased", "wordpiece: keep upper case and accents (bpe always does)")
    .option("--min-frequency <n>", "merge no pair that is seen less often", wholeNumber, 2)
    .option(
      "--limit-alphabet <n>",
      "wordpiece: keep at most this many different characters (default: 1000)",
      wholeNumber,
    )
    .option("--max-token-length <n>", "bpe: make no token of more bytes", wholeNumber)
    .option("--model-max-length <n>", "the model's greatest number of tokens, for tokenizer_config.json", wholeNumber);
  addInputOptions(command, formatOfFiles).action(train);
  return tokenizer;
}

async function train(sources: string[], flags: TrainFlags): Promise<void> {
  const { kind, cased, limitAlphabet, maxTokenLength, ...options } = flags;
  const foreign = kind === "bpe" ? { cased, limitAlphabet } : { maxTokenLength };
  for (const [name, value] of Object.entries(foreign)) {
    if (value === undefined) continue;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new Error(`--${flag}: expected with another --kind, got --kind ${kind}\nLeave it out.`);
  }
  const common = { ...options, sources, onProgress: showProgress };
  const started = performance.now();
  const tokenizer = await trainTokenizer(
    kind === "bpe"
      ? { kind, ...common, ...given({ maxTokenLength }) }
      : { kind, ...common, lowercase: !cased, ...given({ limitAlphabet }) },
  );
  if (tokenizer.vocabSize < options.vocabSize) {
    console.error(
      `note: ${tokenizer.vocabSize} tokens, not the ${options.vocabSize} of --vocab-size: no other pair is seen --min-frequency ${options.minFrequency} times`,
    );
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`Wrote a vocabulary of ${tokenizer.vocabSize} tokens to ${options.out} in ${seconds} s`);
}

function showProgress({ stage, done, total }: TrainingProgress): void {
  if (stage === "reading") console.error(`read ${(done / 1e6).toFixed(0)} million characters`);
  else console.error(`vocabulary ${done} of ${total}`);
}
