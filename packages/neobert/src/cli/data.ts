// `neobert data prepare` and `neobert data inspect`: text into token shards, and a look at them.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { type DataReport, type InspectOptions, inspectData } from "../data/inspect.js";
import { manifestFile } from "../data/manifest.js";
import { type MergeResult, mergeParts, partsIn } from "../data/prepare/merge.js";
import { type PrepareOptions, type PrepareProgress, type PrepareResult, prepareData } from "../data/prepare/prepare.js";
import { vectorFormats } from "../files/vector-file.js";
import { joinVectorParts } from "../files/vector-parts.js";
import { interruptible } from "../terminal/interrupt.js";
import { grouped, ProgressLine } from "../terminal/progress-line.js";
import { choice, part, wholeNumber } from "./option-values.js";
import { addInputOptions, formatOfFiles } from "./read-texts.js";

type PrepareFlags = Omit<PrepareOptions, "sources" | "validation" | "onProgress" | "signal"> & {
  validationFraction?: number;
  validationSeed: number;
};

type InspectFlags = Required<Omit<InspectOptions, "tokenizer" | "exampleTokens">> & {
  tokenizer?: string;
  json?: boolean;
};

/** The command `data` with its subcommands. */
export function dataCommand(): Command {
  const data = new Command("data").summary("tokenize text into shards, and look at them");
  const prepareCommand = data
    .command("prepare")
    .summary("tokenize text into shards")
    .description(
      "Tokenizes text with all cores into OUT/train and OUT/validation. Stopped at any moment, the same command goes " +
        "on; run again when all is done, it does nothing.",
    )
    .argument("<sources...>", "files, folders, patterns or hf://datasets/OWNER/NAME")
    .requiredOption("--tokenizer <folder>", "folder with tokenizer.json or vocab.txt")
    .requiredOption("--out <folder>", "folder to make");
  addInputOptions(prepareCommand, formatOfFiles)
    .addOption(choice("--split <unit>", "how text files are cut into documents", ["file", "line", "paragraph"], "file"))
    .option("--min-tokens <n>", "drop documents of fewer tokens", wholeNumber, 1)
    .option("--max-tokens <n>", "drop documents of more tokens", wholeNumber)
    .option("--validation-fraction <share>", "share of the documents put aside as OUT/validation", Number)
    .option("--validation-seed <n>", "seed that chooses them", wholeNumber, 0)
    .option("--shard-tokens <n>", "tokens after which a shard ends", wholeNumber, 2 ** 26)
    .option("--workers <n>", "worker threads (default: one a core)", wholeNumber)
    .option(
      "--part <i/n>",
      "prepare this part of the files alone, as OUT/part-000i-of-000n; `data merge OUT` joins all; rank: that of the launcher",
      part,
    )
    .option("--force", "make the folder anew if settings or inputs have changed")
    .action(prepare);
  data
    .command("merge")
    .summary("join what was made in parts")
    .description(
      "Of the parts of a preparation in OUT, makes OUT/train and OUT/validation: nothing is copied, the parts stay where " +
        "they are and are read there. Of the parts of `embed --out FILE`, makes FILE.",
    )
    .argument("<out>", "the --out of the parts: a folder, or a file of vectors")
    .action(merge);
  data
    .command("inspect")
    .summary("show lengths, examples and packing efficiency")
    .argument("<folder>", "a prepared folder, or one of its splits")
    .option("--max-length <n>", "tokens of the longest piece", wholeNumber, 1024)
    .option("--micro-batch-tokens <n>", "tokens of a packed batch", wholeNumber, 16_384)
    .addOption(choice("--long-documents <way>", "documents over the longest piece", ["cut", "truncate"], "cut"))
    .option("--examples <n>", "documents to show", wholeNumber, 3)
    .option("--seed <n>", "chooses the examples", wholeNumber, 0)
    .option("--tokenizer <folder>", "tokenizer of the examples (default: the copy in the prepared folder)")
    .option("--json", "print the report as JSON")
    .action(inspect);
  return data;
}

async function prepare(sources: string[], { validationFraction, validationSeed, ...flags }: PrepareFlags) {
  const message = "stopped: the finished shards are kept, and the same command goes on";
  const line = new ProgressLine(progressLine);
  try {
    const validation =
      validationFraction === undefined ? undefined : { fraction: validationFraction, seed: validationSeed };
    const result = await interruptible({ message }, (signal) =>
      prepareData({
        ...flags,
        sources,
        ...(validation && { validation }),
        onProgress: (progress) => line.show(progress),
        onNote: (text) => line.note(text),
        signal,
      }),
    );
    line.end();
    console.log([summary(result), ...(flags.part ? [partsLine(flags.out)] : [])].join("\n"));
  } finally {
    line.end();
  }
}

/** `tokenizing 3/10 files, 12,345 documents, 5.2M tokens, 1.3M tokens/s, 5.4 MB/s` */
export function progressLine({
  phase,
  filesDone,
  files,
  documents,
  tokens,
  textBytes,
  seconds,
}: PrepareProgress): string {
  const start = `${phase} ${grouped(filesDone)}/${grouped(files)} files`;
  if (phase === "hashing" || seconds === 0) return start;
  const speeds = `${millions(tokens / seconds)} tokens/s, ${(textBytes / seconds / 1e6).toFixed(1)} MB/s`;
  return `${start}, ${grouped(documents)} documents, ${millions(tokens)} tokens, ${speeds}`;
}

function summary({ status, train, validation, dropped }: PrepareResult): string {
  const first = {
    prepared: "prepared:",
    resumed: "resumed behind the finished shards, and prepared the rest:",
    unchanged: "nothing to do, all is there already:",
  }[status];
  const lines = [train, validation].flatMap((split) =>
    split ? [`  ${split.folder}: ${grouped(split.documents)} documents, ${grouped(split.tokens)} tokens`] : [],
  );
  if (dropped.short + dropped.long > 0) {
    lines.push(`  dropped: ${grouped(dropped.short)} too short, ${grouped(dropped.long)} too long`);
  }
  return [first, ...lines].join("\n");
}

/** How many parts are there, and what comes next. */
function partsLine(out: string): string {
  const { of, finished } = partsIn(out);
  const count = `${grouped(finished.length)} of ${grouped(of)} parts are finished`;
  return finished.length < of ? `${count} in ${out}` : `${count}; join them with: neobert data merge ${out}`;
}

function merge(out: string): void {
  const areVectors = vectorFormats.some((format) => out.endsWith(`.${format}`));
  console.log(areVectors ? `joined ${grouped(joinVectorParts(out))} parts: ${out}` : mergeSummary(mergeParts(out)));
}

function mergeSummary({ parts, splits }: MergeResult): string {
  const lines = splits.map(
    ({ folder, documents, tokens, shards }) =>
      `  ${folder}: ${grouped(documents)} documents, ${grouped(tokens)} tokens in ${grouped(shards)} shards`,
  );
  return [`merged ${grouped(parts)} parts:`, ...lines].join("\n");
}

function inspect(folder: string, { json, ...flags }: InspectFlags) {
  const splits = existsSync(join(folder, manifestFile))
    ? [folder]
    : ["train", "validation"].map((split) => join(folder, split)).filter((path) => existsSync(path));
  const reports = (splits.length > 0 ? splits : [folder]).map((path) => ({
    folder: path,
    ...inspectData(path, flags),
  }));
  if (json) console.log(JSON.stringify(reports, null, 2));
  else for (const report of reports) console.log(`${report.folder}\n${reportText(report, flags)}\n`);
}

/** The report as lines of text, with a bar for each bucket of lengths by its share of the tokens. */
export function reportText(report: DataReport, { maxLength, microBatchTokens }: InspectFlags): string {
  const { documents, tokens, shards, dtype, lengths, histogram, pieces, packing, examples } = report;
  const percentiles = lengths.percentiles.map(({ percent, length }) => `${percent}%: ${grouped(length)}`).join("  ");
  const bars = histogram.map(({ from, to, documents: some, tokens: held }) => {
    const range = `${grouped(from)}-${grouped(to - 1)}`.padStart(19);
    const bar = "#".repeat(Math.round((40 * held) / tokens)).padEnd(40);
    return `  ${range} ${bar} ${percentage(held / tokens)} of tokens, ${grouped(some)} documents`;
  });
  return [
    `  ${grouped(documents)} documents, ${grouped(tokens)} tokens in ${shards} ${shards === 1 ? "shard" : "shards"} of ${dtype}`,
    `  tokens a document: min ${lengths.min}, mean ${lengths.mean.toFixed(1)}, max ${grouped(lengths.max)}`,
    `    ${percentiles}`,
    ...bars,
    `  ${grouped(pieces)} pieces of at most ${grouped(maxLength)} tokens`,
    `  packed into ${grouped(microBatchTokens)} tokens: ${percentage(packing.packed)} of the positions hold a token ` +
      `(padded rows of ${grouped(maxLength)}: ${percentage(packing.padded)})`,
    ...examples.flatMap(({ document, length, text }) => [
      `  document ${document}, ${grouped(length)} tokens:`,
      `    ${text}`,
    ]),
  ].join("\n");
}

const millions = (value: number) => (value < 1e6 ? grouped(Math.round(value)) : `${(value / 1e6).toFixed(1)}M`);
const percentage = (share: number) => `${(100 * share).toFixed(1)} %`;
