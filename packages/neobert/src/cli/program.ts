// The table of `neobert`'s commands and what happens to their errors. A command's module is imported only when that
// command is asked for, so `neobert --help` starts at once and libtorch is loaded by the commands that need it.

import { Command, type Option } from "commander";
import { packageVersion } from "../files/package.js";
import { portableError } from "../files/portable-error.js";

/** What each command does, in a few words, and the command itself. */
const commands: Record<string, readonly [summary: string, load: () => Promise<Command>]> = {
  tokenizer: ["train a WordPiece or BPE vocabulary", async () => (await import("./tokenizer.js")).tokenizerCommand()],
  data: ["tokenize text into shards, and look at them", async () => (await import("./data.js")).dataCommand()],
  pretrain: ["pretrain a model as a run file says", async () => (await import("./pretrain.js")).pretrainCommand()],
  launch: ["train as several processes, kept going", async () => (await import("./launch.js")).launchCommand()],
  finetune: ["fine-tune a model on pairs or labels", async () => (await import("./finetune.js")).finetuneCommand()],
  evaluate: ["score models: MTEB, pseudo-perplexity", async () => (await import("./evaluate.js")).evaluateCommand()],
  export: ["write a model for other programs", async () => (await import("./export.js")).exportCommand()],
  embed: ["compute vectors of texts", async () => (await import("./embed.js")).embedCommand()],
  similarity: ["show how alike texts are", async () => (await import("./similarity.js")).similarityCommand()],
  rerank: ["sort texts by how well they answer a query", async () => (await import("./rerank.js")).rerankCommand()],
  classify: [
    "show the labels of texts or of entities in them",
    async () => (await import("./classify.js")).classifyCommand(),
  ],
  "zero-shot": [
    "show how well labels of your choice fit texts",
    async () => (await import("./zero-shot.js")).zeroShotCommand(),
  ],
  answer: ["find the answer to a question in a text", async () => (await import("./answer.js")).answerCommand()],
  "fill-mask": ["fill the [MASK] tokens of a text", async () => (await import("./fill-mask.js")).fillMaskCommand()],
  serve: ["answer HTTP requests with models", async () => (await import("./serve.js")).serveCommand()],
  report: [
    "write a page of what runs and evaluations have left",
    async () => (await import("./report.js")).reportCommand(),
  ],
  "setup-torch": [
    "fetch libtorch and compile what training needs",
    async () => (await import("./setup-torch.js")).setupTorchCommand(),
  ],
  doctor: ["show what this machine has and lacks", async () => (await import("./doctor.js")).doctorCommand()],
  cache: ["list and clear what is kept between runs", async () => (await import("./cache.js")).cacheCommand()],
  info: ["show what a model is", async () => (await import("./info.js")).infoCommand()],
};

/**
 * The program for these arguments (`process.argv` without its first two): the command asked for with all its options,
 * the others by name and summary only.
 */
export async function buildProgram(args: readonly string[], table = commands): Promise<Command> {
  const program = new Command("neobert")
    .description("Text encoders: use them, pretrain them, from TypeScript")
    .version(packageVersion())
    .showHelpAfterError("(--help shows what there is)");
  const words = args.filter((arg) => !arg.startsWith("-"));
  const wanted = words[0] === "help" ? words[1] : words[0];
  for (const [name, [summary, load]] of Object.entries(table)) {
    program.addCommand((name === wanted ? await load() : new Command(name)).summary(summary));
  }
  endInOrder(program);
  return program;
}

/** Help, version and wrong arguments end the program by a `CommanderError`, not at once, so that a full disk is noticed. */
function endInOrder(command: Command): void {
  command.exitOverride();
  for (const part of command.commands) endInOrder(part as Command);
}

/**
 * What the user reads about an error: its message and, in brackets, its cause. Our own broken invariants, plain bugs
 * and every error under `NEOBERT_DEBUG=1` come with the stack. Options that the message names are those of the command.
 */
export function errorText(
  error: unknown,
  debug = process.env.NEOBERT_DEBUG === "1",
  options: readonly Option[] = [],
): string {
  if (!(error instanceof Error)) return `neobert: ${portableError(error).message}`;
  const { message, stack, cause } = error;
  const isBug = message.startsWith("internal:") || error.name === "ReferenceError" || isPlainTypeError(error);
  if (isBug || debug) return stack ?? message;
  const reason = cause instanceof Error && !message.includes(cause.message) ? ` (${cause.message})` : "";
  return inFlags(`${message}${reason}`, options);
}

/** A message with the command's flags where it has `options`, which is how the library calls them. */
function inFlags(message: string, options: readonly Option[]): string {
  return message.replace(
    /`([a-zA-Z]+)`/g,
    (word, name) => options.find((option) => option.attributeName() === name)?.long ?? word,
  );
}

// A failed fetch is a TypeError too, but has a cause; wrong arguments of ours say what was expected.
function isPlainTypeError(error: Error): boolean {
  return error.name === "TypeError" && error.cause === undefined && !error.message.includes("expected");
}
