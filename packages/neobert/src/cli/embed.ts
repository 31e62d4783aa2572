// `neobert embed MODEL [FILE]`: vectors of the texts of a file or of standard input, in their order, into a file or as JSON
// lines on standard output. Texts and vectors stream: only some thousands are held.

import { Command } from "commander";
import { type EncodeOptions, Encoder } from "../encoder/encoder.js";
import { InputError } from "../files/input-error.js";
import type { Part } from "../files/part.js";
import { createVectorFile, jsonLine, vectorFormat } from "../files/vector-file.js";
import { partPath } from "../files/vector-parts.js";
import { interruptible } from "../terminal/interrupt.js";
import { writeOut } from "../terminal/output.js";
import { barOf, formatDuration, grouped, ProgressLine } from "../terminal/progress-line.js";
import { type PoolingMode, poolingModes } from "../vectors/pooling.js";
import { type Output, outputs } from "../vectors/quantize.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { choice, given, part, positive } from "./option-values.js";
import { addInputOptions, allTexts, countTexts, type InputFlags, readTexts } from "./read-texts.js";

type EncodeFlags = Pick<
  EncodeOptions<Output>,
  "normalize" | "role" | "promptName" | "prompt" | "dimensions" | "output" | "maxTokens"
>;

interface EmbedFlags extends ModelFlags, InputFlags, EncodeFlags {
  out?: string;
  part?: Part;
  pooling?: PoolingMode[];
  calibration?: string;
}

export function embedCommand(): Command {
  const command = new Command("embed")
    .description(
      "Computes a vector for each text: each line of a text file or of standard input, each record of JSON lines, CSV, " +
        "TSV or parquet. What the model's folder says about pooling, prompts and length is the default.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("[file]", "file of texts; - is standard input", "-")
    .option(
      "--out <file>",
      "file to make: .npy, .safetensors, .jsonl or .parquet (default: JSON lines on standard output)",
    )
    .option(
      "--part <i/n>",
      "this part of the texts alone, into a file beside OUT; `data merge OUT` joins all; rank: that of the launcher",
      part,
    )
    .addOption(choice("--pooling <modes...>", "how tokens become a vector", poolingModes))
    .option("--normalize", "give vectors of length 1")
    .option("--no-normalize", "give vectors as they are, whatever the folder says")
    .addOption(choice("--role <role>", "use the model's prompt for it", ["query", "document"]))
    .option("--prompt-name <name>", "use one of the model's prompts")
    .option("--prompt <text>", "put this before each text")
    .option("--dimensions <n>", "keep the first dimensions only", positive)
    .addOption(choice("--output <form>", "form of the vectors", outputs, "float"))
    .option("--calibration <file>", "texts that the ranges of int8 are taken from");
  return addModelOptions(addInputOptions(command)).action(run);
}

async function run(model: string, file: string, flags: EmbedFlags): Promise<void> {
  const { part } = flags;
  if (flags.out !== undefined) vectorFormat(flags.out); // before the work
  if (part && flags.out === undefined)
    throw new InputError("embed --part: expected --out FILE too, got none\nThe parts of one file merge.");
  const out = part ? partPath(flags.out!, part) : flags.out;
  const message = out === undefined ? "stopped before the last vector" : `stopped: ${out} was not written`;
  await interruptible({ message }, (signal) =>
    embed(model, file, { ...flags, ...(out !== undefined && { out }) }, signal),
  );
}

async function embed(model: string, file: string, flags: EmbedFlags, signal: AbortSignal): Promise<void> {
  const { out, pooling, normalize, role, promptName, prompt, dimensions, output, maxTokens } = flags;
  const all = await countTexts(file, flags);
  const [first, end] = flags.part ? rangeOf(file, all, flags.part) : [0, Number.POSITIVE_INFINITY];
  const total = flags.part ? end - first : all;
  const encoder = await Encoder.load(model, loadOptions(flags, signal));
  const line = new ProgressLine(progressText);
  const sink = out === undefined ? undefined : createVectorFile(out);
  try {
    const how: EncodeOptions<Output> = given({
      pooling,
      normalize,
      role,
      promptName,
      prompt,
      dimensions,
      output,
      maxTokens,
      signal,
      calibration: flags.calibration === undefined ? undefined : await allTexts(flags.calibration, flags),
    });
    const waiting: string[] = [];
    const source = async function* () {
      let number = 0;
      for await (const text of readTexts(file, flags)) {
        if (number >= end) return;
        if (number++ < first) continue;
        waiting.push(text);
        yield text;
      }
    };
    const start = performance.now();
    let [done, tokens] = [0, 0];
    for await (const vectors of encoder.encodeStream(source(), how)) {
      const texts = waiting.splice(0, vectors.length);
      const [, d] = vectors.shape;
      if (sink) sink.write(texts, vectors.data, d);
      else await writeOut(texts.map((text, i) => jsonLine(text, vectors.row(i))).join(""));
      done += vectors.length;
      tokens += vectors.tokenCounts.reduce((sum, count) => sum + count, 0);
      line.show({ done, total, tokens, seconds: (performance.now() - start) / 1000 });
    }
    line.end();
    if (!sink) {
      console.error(`${grouped(done)} vectors: standard output`);
      return;
    }
    if (done === 0)
      throw new Error(
        `${file}: expected at least one text, got none\nName a file of texts, one a line, or pipe them in.`,
      );
    sink.close();
    console.log(`${grouped(done)} vectors: ${out}`);
  } finally {
    line.end();
    sink?.abandon();
    await encoder.dispose();
    if (signal.aborted) process.stdin.destroy(); // else it keeps the program waiting for texts
  }
}

/** The texts of a part: as many as those of any other, or one more. Throws where their number is not known or too small. */
function rangeOf(file: string, texts: number | undefined, { number, of }: Part): [number, number] {
  if (texts !== undefined && texts >= of) {
    return [Math.floor((texts * (number - 1)) / of), Math.floor((texts * number) / of)];
  }
  const got = texts === undefined ? "one that is read once" : `${texts} texts for ${of} parts`;
  throw new InputError(
    `${file}: expected a file of at least as many texts as parts, got ${got}\nTake fewer parts, or save the input as a file.`,
  );
}

interface EmbedProgress {
  done: number;
  total: number | undefined;
  tokens: number;
  seconds: number;
}

/** `1,200/5,000 [=====>    ] 24% 812 texts/s 33,012 tok/s 12:05 left` */
export function progressText({ done, total, tokens, seconds }: EmbedProgress, barColumns: number): string {
  const rates = `${grouped(done / seconds)} texts/s ${grouped(tokens / seconds)} tok/s`;
  if (total === undefined) return `${grouped(done)} texts ${rates}`;
  const share = done / Math.max(total, 1);
  const left = formatDuration(seconds / share - seconds);
  const numbers = [`${grouped(done)}/${grouped(total)}`, ...barOf(share, barColumns), `${Math.floor(100 * share)}%`];
  return `${numbers.join(" ")} ${rates} ${left} left`;
}
