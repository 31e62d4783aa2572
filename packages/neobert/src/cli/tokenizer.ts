// `neobert tokenizer train`: a WordPiece vocabulary from text files, saved as Hugging Face's libraries read it. Progress
// goes to standard error, the closing line to standard output.

import { Command, InvalidArgumentError, Option } from "commander";
import type { TrainingProgress } from "../tokenizer/index.js";
import { type TrainTokenizerOptions, trainTokenizer } from "../train/train-tokenizer.js";

type TrainFlags = Omit<TrainTokenizerOptions, "sources" | "lowercase" | "onProgress"> & { cased?: boolean };

/** The command `tokenizer` with its subcommand. */
export function tokenizerCommand(): Command {
  const tokenizer = new Command("tokenizer").summary("train a WordPiece vocabulary");
  tokenizer
    .command("train")
    .summary("train a WordPiece vocabulary")
    .description(
      "Trains a WordPiece vocabulary on text and writes a tokenizer folder. The same text gives the same one.",
    )
    .argument("<sources...>", "files, folders, patterns or hf://datasets/OWNER/NAME")
    .requiredOption("--vocab-size <n>", "tokens in the vocabulary, special ones included", wholeNumber)
    .requiredOption("--out <folder>", "folder to make")
    .option("--cased", "keep upper case and accents")
    .option("--min-frequency <n>", "merge no pair that is seen less often", wholeNumber, 2)
    .option("--limit-alphabet <n>", "keep at most this many different characters", wholeNumber, 1000)
    .option("--model-max-length <n>", "the model's greatest number of tokens, for tokenizer_config.json", wholeNumber)
    .option("--column <name>", "column or key that holds the text", "text")
    .addOption(
      new Option("--format <format>", "format of all files, where names do not tell").choices(
        "text jsonl json csv tsv parquet".split(" "),
      ),
    )
    .option("--no-header", "CSV and TSV have no line of column names; columns are named 0, 1, 2 ...")
    .action(train);
  return tokenizer;
}

async function train(sources: string[], { cased, ...options }: TrainFlags): Promise<void> {
  const started = performance.now();
  const tokenizer = await trainTokenizer({ ...options, sources, lowercase: !cased, onProgress: showProgress });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`Wrote a vocabulary of ${tokenizer.vocabSize} tokens to ${options.out} in ${seconds} s`);
}

function showProgress({ stage, done, total }: TrainingProgress): void {
  if (stage === "reading") console.error(`read ${(done / 1e6).toFixed(0)} million characters`);
  else console.error(`vocabulary ${done} of ${total}`);
}

function wholeNumber(value: string): number {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError(`Expected a whole number, got ${value}.`);
  return Number(value);
}
