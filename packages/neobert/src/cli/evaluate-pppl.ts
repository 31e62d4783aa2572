// `neobert evaluate pppl MODEL FILES...`: pseudo-perplexity by length, as numbers and as a picture. The out folder keeps the
// score of every text, so the same command goes on after a stop.

import { Command } from "commander";
import { type ReadOptions, readDocuments } from "../data/read/read.js";
import { FillMask } from "../encoder/fill-mask.js";
import { evaluatePseudoPerplexity, type PplOptions, type PplProgress, type PplReport } from "../evaluate/index.js";
import { writeFileAtomic } from "../files/atomic.js";
import { weightsIdentity } from "../files/weights-identity.js";
import { interruptible } from "../terminal/interrupt.js";
import { barOf, formatDuration, grouped, ProgressLine } from "../terminal/progress-line.js";
import { folderName } from "./evaluate-mteb.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { choice, given, list, positive } from "./option-values.js";
import { addInputOptions, type InputFlags } from "./read-texts.js";

type ScoreFlags = Pick<PplOptions, "sample" | "seed" | "maxLength" | "lengths" | "everyLength" | "force">;

interface PpplFlags extends ModelFlags, InputFlags, ScoreFlags, Pick<ReadOptions, "split" | "limit"> {
  beside?: string[];
  out: string;
}

export function evaluatePpplCommand(): Command {
  const command = new Command("pppl")
    .summary("pseudo-perplexity by length")
    .description(
      "Masks every token of each text alone and shows exp of the mean cross entropy by length of text, in OUT/pppl.json and\n" +
        "OUT/pppl.svg. Texts that OUT has a score of are kept. Exact scores grow with the square of a text's length: for long\n" +
        "texts use --sample. Models with rotary positions can be asked beyond the length of their training (--max-length).",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<files...>", "files, folders, patterns, or hf://datasets/OWNER/NAME/PATTERN")
    .addOption(choice("--split <unit>", "how text files are cut into texts", ["file", "line", "paragraph"], "file"))
    .option("--limit <n>", "score the first texts only", positive)
    .option("--sample <n>", "tokens to mask in each text (default: all)", positive)
    .option("--seed <n>", "chooses them", Number, 0)
    .option("--max-length <n>", "cut texts to this many tokens (default: the model's longest text)", positive)
    .option(
      "--lengths <n,n,...>",
      "upper bounds of the bins (default: 64,128,256 ... to the greatest length)",
      list(positive),
    )
    .option("--every-length", "score each text cut to each of the lengths: the same texts in every bin")
    .option("--beside <folders...>", "earlier --out folders, of other models, to draw in the same picture")
    .option("--out <folder>", "folder to write into", "out/pppl")
    .option("--force", "compute again what the folder holds");
  addInputOptions(command);
  addModelOptions(command);
  command.options.find(({ long }) => long === "--max-tokens")?.hideHelp(); // the same as --max-length
  return command.action(run);
}

async function run(name: string, files: string[], flags: PpplFlags): Promise<void> {
  const { out, engine, dtype, sample, seed, lengths, everyLength, force, batchTokens, beside = [] } = flags;
  const { maxLength = flags.maxTokens } = flags;
  const { pseudoPerplexityFigure, readPseudoPerplexity } = await import("../report/index.js");
  const others = beside.map(readPseudoPerplexity);
  const line = new ProgressLine(progressText);
  const message = `stopped: scored texts are kept in ${out}; the same command goes on`;
  await interruptible({ message }, async (signal) => {
    await using model = await FillMask.load(name, loadOptions(flags, signal));
    const report = await evaluatePseudoPerplexity({
      model,
      name: folderName(name),
      texts: textsOf(files, flags, signal),
      out,
      sample,
      seed,
      maxLength,
      lengths,
      everyLength,
      force,
      batchTokens,
      signal,
      settings: { weights: await weightsIdentity(model.folder), engine, dtype },
      onProgress: (progress) => line.show(progress),
    });
    writeFileAtomic(`${out}/pppl.svg`, pseudoPerplexityFigure([report, ...others]));
    line.end();
    console.log(reportText(report, out));
  }).finally(() => line.end());
}

async function* textsOf(files: string[], flags: PpplFlags, signal: AbortSignal) {
  const { column, format, header, quotes, split, limit } = flags;
  const options = given({ column, format, header, quotes, split, limit, signal });
  for await (const { text, source, row } of readDocuments(files, options)) yield { text, where: `${source}:${row}` };
}

/** `12/300 texts [==>   ] 14% 33,012 tokens/s 0:12 left` */
export function progressText(
  { texts, textsDone, tokens, tokensDone, seconds }: PplProgress,
  barColumns: number,
): string {
  const share = tokensDone / tokens;
  const left = formatDuration((seconds / tokensDone) * (tokens - tokensDone));
  return [
    `${textsDone}/${texts} texts`,
    ...barOf(share, barColumns),
    `${Math.floor(100 * share)}% ${grouped(tokensDone / seconds)} tokens/s ${left} left`,
  ].join(" ");
}

/** The curve as lines of text. */
export function reportText({ points, texts, skipped, settings }: PplReport, out: string): string {
  const errors = texts.flatMap(({ standardError, pseudoPerplexity }) =>
    standardError ? [standardError / pseudoPerplexity] : [],
  );
  const rows = points.map(({ length, texts, median, q25, q75 }) => [
    grouped(length),
    `${texts}`,
    ...[median, q25, q75].map((value) => value.toFixed(2)),
  ]);
  const lines = [["tokens up to", "texts", "median", "25 %", "75 %"], ...rows].map((cells) =>
    cells.map((cell, column) => cell.padStart([12, 8, 11, 11, 11][column]!)).join(""),
  );
  if (errors.length > 0) {
    const error = (100 * errors.reduce((a, b) => a + b, 0)) / errors.length;
    lines.push(
      `${settings.sample} tokens of each text were masked: a text's standard error is ${error.toFixed(1)} % of its value on average`,
    );
  }
  if (skipped > 0) lines.push(`${skipped} texts left out: too short`);
  return [...lines, `${out}/pppl.json  ${out}/pppl.svg`].join("\n");
}
