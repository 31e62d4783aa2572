// Texts for a command: a file or standard input. Of a plain text file every line is a text, empty ones too, so that
// results stand in the lines' order; other formats have a text a record.

import { statSync } from "node:fs";
import type { Command } from "commander";
import { type ReadOptions, readDocuments, sourceFormat } from "../data/read/read.js";
import { readLines } from "../data/read/read-text.js";
import { quoteStyles } from "../data/read/records.js";
import { choice } from "./option-values.js";

export type InputFlags = Pick<ReadOptions, "format" | "column" | "header" | "quotes">;

/** What --format says of commands that take many files. */
export const formatOfFiles = "format of all files, where names do not tell";

/** Standard input, in place of a file's name. */
const STDIN = "-";

export function addInputOptions(
  command: Command,
  format = "format of the input, where its name does not tell (standard input: text)",
): Command {
  return command
    .option("--column <name>", "column or key that holds the text", "text")
    .addOption(choice("--format <format>", format, "text jsonl json csv tsv parquet".split(" ")))
    .addOption(
      choice(
        "--quotes <style>",
        "what double quotes are in CSV and TSV (default: doubled in CSV, none in TSV)",
        quoteStyles,
      ),
    )
    .option("--no-header", "CSV and TSV have no line of column names; columns are named 0, 1, 2 ...");
}

/** The texts of a file, or of standard input for "-", one by one. */
export async function* readTexts(
  file: string,
  { column, header, quotes, ...flags }: InputFlags,
): AsyncGenerator<string> {
  const told = flags.format ?? (file === STDIN ? undefined : sourceFormat(file));
  const format = told ?? "text";
  if (format === "text") {
    const first: string[] = [];
    for await (const { text } of readLines(file)) {
      if (told === undefined && first.length < 2 && first.push(text) === 2) noteTable(file, first as [string, string]);
      yield text;
    }
    return;
  }
  const options = { format, header, quotes, ...(column !== undefined && { column }) };
  for await (const { text } of readDocuments(file, options)) yield text;
}

/** Says on standard error where two lines that are taken as texts look like records, for which there is a --format. */
function noteTable(file: string, lines: [string, string]): void {
  const format = formatOf(lines);
  if (format === undefined) return;
  const what = file === STDIN ? "standard input" : file;
  console.error(
    `note: ${what} looks like ${format}, and each line of it is taken as a text; --format ${format} reads its records`,
  );
}

function formatOf(lines: [string, string]): "jsonl" | "csv" | "tsv" | undefined {
  if (lines.every((line) => /^\s*\{\s*".*\}\s*$/.test(line))) return "jsonl";
  for (const [format, separator] of [
    ["tsv", "\t"],
    ["csv", ","],
  ] as const) {
    const names = lines[0].split(separator);
    const areNames = names.length > 1 && names.every((name) => /^"?[\p{L}\d_.-]{1,40}"?$/u.test(name));
    if (areNames && lines[1].split(separator).length >= names.length) return format;
  }
  return undefined;
}

/** How many texts a file has; undefined for standard input and pipes, which are read once. */
export async function countTexts(file: string, flags: InputFlags): Promise<number | undefined> {
  if (file === STDIN || statSync(file, { throwIfNoEntry: false })?.isFile() === false) return undefined;
  let count = 0;
  for await (const _ of readTexts(file, flags)) count++;
  return count;
}

/** All texts at once. */
export async function allTexts(file: string, flags: InputFlags): Promise<string[]> {
  const texts: string[] = [];
  for await (const text of readTexts(file, flags)) texts.push(text);
  return texts;
}
