// Options that every command with a model has, their values checked, and the API's options out of them.

import type { Command } from "commander";
import type { LoadOptions } from "../encoder/loaded-model.js";
import { readTextFile } from "../files/input-file.js";
import type { DownloadProgress } from "../hub/resolve.js";
import { ProgressLine } from "../terminal/progress-line.js";
import { choice, device, given, positive } from "./option-values.js";

export type ModelFlags = Pick<
  LoadOptions,
  "engine" | "dtype" | "device" | "onnxFile" | "revision" | "threads" | "offline" | "batchTokens"
> & { maxTokens?: number; calibrate?: string };

export function addModelOptions(command: Command): Command {
  return command
    .addOption(choice("--engine <name>", "ONNX Runtime or libtorch", ["onnx", "torch"], "onnx"))
    .addOption(choice("--dtype <type>", "bf16 and auto need torch (default: fp32)", ["fp32", "bf16", "int8", "auto"]))
    .option("--calibrate <file>", "texts, a line each, that int8 layers are chosen by (default: built-in ones)")
    .option(
      "--device <device>",
      "cpu, or with torch cuda, cuda:1, or auto: a GPU where one can be used (default: cpu)",
      device,
    )
    .option("--onnx-file <path>", "run this .onnx file of the model's own folder or repository as it is")
    .option("--max-tokens <n>", "cut texts to this many tokens (default: the model's)", positive)
    .option("--batch-tokens <n>", "most tokens computed at once (default: 4096)", positive)
    .option("--threads <n>", "threads (default: as many as there are cores)", positive)
    .option("--revision <name>", "branch, tag or commit on the Hub (default: main)")
    .option("--offline", "take the model from the local cache only");
}

/** The options of `load`, with downloads shown on standard error; `signal` ends them. */
export function loadOptions(flags: ModelFlags, signal?: AbortSignal): LoadOptions {
  const { engine, dtype, device, onnxFile, revision, threads, offline, batchTokens, calibrate } = flags;
  const line = new ProgressLine(downloadLine);
  return {
    ...given({ engine, dtype, device, onnxFile, revision, threads, offline, batchTokens, signal }),
    ...(calibrate !== undefined && { calibrate: readTexts(calibrate) }),
    onNote: (note) => console.error(note),
    onProgress: (progress) => {
      line.show(progress);
      if (progress.receivedBytes === progress.fileBytes) line.end();
    },
  };
}

function readTexts(path: string): string[] {
  const texts = readTextFile(path)
    .split(/\r?\n/)
    .filter((text) => text.trim() !== "");
  if (texts.length === 0) {
    throw new Error(
      `--calibrate: expected texts in ${path}, a line each, got none\nLeave it out for the built-in ones.`,
    );
  }
  return texts;
}

function downloadLine({ file, receivedBytes, fileBytes }: DownloadProgress): string {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return `${file} ${megabytes(receivedBytes)} of ${megabytes(fileBytes)} MB`;
}
