// The table of `neobert`'s commands and what happens to their errors. A command's module is imported only when that
// command is asked for, so `neobert --help` starts at once and libtorch is loaded by the commands that need it.

import { Command, type Option } from "commander";
import { packageVersion } from "../files/package.js";
import { portableError } from "../files/portable-error.js";

export interface CommandEntry {
  summary: string;
  load(): Promise<Command>;
}

const commands: Record<string, CommandEntry> = {
  tokenizer: {
    summary: "train a WordPiece or BPE vocabulary",
    load: async () => (await import("./tokenizer.js")).tokenizerCommand(),
  },
  data: {
    summary: "tokenize text into shards, and look at them",
    load: async () => (await import("./data.js")).dataCommand(),
  },
  pretrain: {
    summary: "pretrain a model as a run file says",
    load: async () => (await import("./pretrain.js")).pretrainCommand(),
  },
  finetune: {
    summary: "fine-tune a model on pairs or labels",
    load: async () => (await import("./finetune.js")).finetuneCommand(),
  },
  evaluate: {
    summary: "score models: MTEB, pseudo-perplexity",
    load: async () => (await import("./evaluate.js")).evaluateCommand(),
  },
  export: {
    summary: "write a model for other programs",
    load: async () => (await import("./export.js")).exportCommand(),
  },
  embed: { summary: "compute vectors of texts", load: async () => (await import("./embed.js")).embedCommand() },
  similarity: {
    summary: "show how alike texts are",
    load: async () => (await import("./similarity.js")).similarityCommand(),
  },
  rerank: {
    summary: "sort texts by how well they answer a query",
    load: async () => (await import("./rerank.js")).rerankCommand(),
  },
  classify: {
    summary: "show the labels of texts or of entities in them",
    load: async () => (await import("./classify.js")).classifyCommand(),
  },
  "zero-shot": {
    summary: "show how well labels of your choice fit texts",
    load: async () => (await import("./zero-shot.js")).zeroShotCommand(),
  },
  answer: {
    summary: "find the answer to a question in a text",
    load: async () => (await import("./answer.js")).answerCommand(),
  },
  "fill-mask": {
    summary: "fill the [MASK] tokens of a text",
    load: async () => (await import("./fill-mask.js")).fillMaskCommand(),
  },
  serve: { summary: "answer HTTP requests with models", load: async () => (await import("./serve.js")).serveCommand() },
  report: {
    summary: "write a page of what runs and evaluations have left",
    load: async () => (await import("./report.js")).reportCommand(),
  },
  "setup-torch": {
    summary: "fetch libtorch and compile what training needs",
    load: async () => (await import("./setup-torch.js")).setupTorchCommand(),
  },
  cache: {
    summary: "list and clear what is kept between runs",
    load: async () => (await import("./cache.js")).cacheCommand(),
  },
  info: { summary: "show what a model is", load: async () => (await import("./info.js")).infoCommand() },
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
  for (const [name, { summary, load }] of Object.entries(table)) {
    program.addCommand((name === wanted ? await load() : new Command(name)).summary(summary));
  }
  return program;
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
