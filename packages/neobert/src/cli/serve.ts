// `neobert serve MODEL...`: models behind HTTP, in the contracts that clients of embedding servers have. Flags and variables are
// named as Text Embeddings Inference's where they mean the same. The first signal drains, a second one ends at once.

import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Command, InvalidArgumentError, Option } from "commander";
import type { Encoder } from "../encoder/encoder.js";
import type { RequestRecord, ServedModel, ServerOptions } from "../serve/index.js";
import { disposeServed, type EntryFlags, entriesOf, loadServed } from "./load-served.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given, positive, wholeNumber } from "./option-values.js";
import { type ServedTask, servedTasks } from "./serve-file.js";

interface ServeFlags extends ModelFlags {
  servedModelName?: string[];
  task?: ServedTask[];
  instances?: number;
  hostname: string;
  port: number;
  apiKey?: string[];
  apiKeyFile?: string;
  maxBatchTokens?: number;
  maxWaitingTokens?: number;
  maxConcurrentRequests?: number;
  maxClientBatchSize?: number;
  payloadLimit?: number;
  queueTimeout: number;
  drainTimeout: number;
  requestTimeout: number;
  autoTruncate: boolean;
  defaultPrompt?: string;
  defaultPromptName?: string;
  tokenIds: "own" | "refuse" | "cl100k";
  corsAllowOrigin?: string[];
  jsonOutput: boolean;
}

const words = (value: string, before: string[] = []) => [...before, ...value.split(",").map((word) => word.trim())];

function yesOrNo(value: string): boolean {
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new InvalidArgumentError(`Expected true or false, got "${value}".`);
}

/** The variable HOSTNAME where it is an address: shells and containers set it to the machine's name, which is none to listen on. */
function hostnameOf(variable: string | undefined): string {
  return variable !== undefined && (isIP(variable) > 0 || variable === "localhost") ? variable : "127.0.0.1";
}

/** What a variable says of a flag; "false" and "0" are no. */
function variableSays(name: string): boolean {
  return !["", "0", "false"].includes(process.env[name] ?? "");
}

export function serveCommand(): Command {
  const command = new Command("serve")
    .description(
      "Serves models over HTTP: vectors, rankings, labels, filled masks, in the routes of Text Embeddings Inference, OpenAI, " +
        "Cohere, Jina, vLLM and Ollama. GET /openapi.json describes them.",
    )
    .argument(
      "[models...]",
      "model folders, run folders, names on the Hub, NAME=one of these, or a YAML file of models (env: MODEL_ID)",
    )
    .addOption(
      new Option("--served-model-name <names>", "what clients call the models")
        .argParser(words)
        .env("SERVED_MODEL_NAME"),
    )
    .addOption(new Option("--task <tasks...>", "what the models do (default: as their files say)").choices(servedTasks))
    .addOption(
      whole(
        "--instances <n>",
        "engines that share a model's requests, each with its weights (default: 1)",
        "INSTANCES",
      ),
    )
    .option(
      "--hostname <address>",
      "address to listen on; 0.0.0.0: all of this machine's (env: HOSTNAME, if an address)",
      hostnameOf(process.env.HOSTNAME),
    )
    .addOption(new Option("--port <n>", "port to listen on; 0: any").argParser(wholeNumber).default(3000).env("PORT"))
    .addOption(new Option("--api-key <keys>", "keys that open the routes").argParser(words).env("API_KEY"))
    .addOption(new Option("--api-key-file <file>", "file with a key a line").env("API_KEY_FILE"))
    .addOption(whole("--max-batch-tokens <n>", "same as --batch-tokens", "MAX_BATCH_TOKENS"))
    .addOption(
      whole("--max-waiting-tokens <n>", "most tokens that wait; then 429 (default: 2^20)", "MAX_WAITING_TOKENS"),
    )
    .addOption(
      whole(
        "--max-concurrent-requests <n>",
        "most requests at once; then 429 (default: 512)",
        "MAX_CONCURRENT_REQUESTS",
      ),
    )
    .addOption(whole("--max-client-batch-size <n>", "most texts of a request (default: 2048)", "MAX_CLIENT_BATCH_SIZE"))
    .addOption(whole("--payload-limit <bytes>", "most bytes of a request (default: 16000000)", "PAYLOAD_LIMIT"))
    .addOption(seconds("--queue-timeout <seconds>", "answer 503 after this time; 0: never", 300, "QUEUE_TIMEOUT"))
    .addOption(
      seconds("--drain-timeout <seconds>", "time that requests have to end after SIGTERM", 30, "DRAIN_TIMEOUT"),
    )
    .addOption(
      seconds("--request-timeout <seconds>", "time that a client has to send a request", 60, "REQUEST_TIMEOUT"),
    )
    .addOption(
      new Option("--auto-truncate [bool]", "cut texts that are too long where a request does not say")
        .argParser(yesOrNo)
        .preset("true")
        .default(true)
        .env("AUTO_TRUNCATE"),
    )
    .addOption(
      new Option("--default-prompt <text>", "text to put before each one to embed, where a request names no prompt")
        .env("DEFAULT_PROMPT")
        .conflicts("defaultPromptName"),
    )
    .addOption(
      new Option("--default-prompt-name <name>", "one of the model's prompts, likewise").env("DEFAULT_PROMPT_NAME"),
    )
    .addOption(
      new Option(
        "--token-ids <how>",
        "lists of token ids as inputs: the model's, refused, or those that LangChain sends",
      )
        .choices(["own", "refuse", "cl100k"])
        .default("own")
        .env("TOKEN_IDS"),
    )
    .addOption(
      new Option("--cors-allow-origin <origins>", "origins that browsers may call from (default: none)")
        .argParser(words)
        .env("CORS_ALLOW_ORIGIN"),
    )
    .option("--json-output", "log in JSON lines (env: JSON_OUTPUT)", variableSays("JSON_OUTPUT"));
  addModelOptions(command)
    .options.find(({ long }) => long === "--revision")
    ?.env("REVISION");
  return command.action(run);
}

function whole(flags: string, text: string, variable: string): Option {
  return new Option(flags, text).argParser(positive).env(variable);
}

function seconds(flags: string, text: string, otherwise: number, variable: string): Option {
  return new Option(flags, text).argParser(wholeNumber).default(otherwise).env(variable);
}

async function run(names: string[], flags: ServeFlags, command: Command): Promise<void> {
  const { MODEL_ID } = process.env;
  const words = names.length > 0 || !MODEL_ID ? names : [MODEL_ID];
  if (words.length === 0) command.error("error: missing required argument 'models'");
  const say = (line: string, more: object = {}) => {
    console.log(flags.jsonOutput ? JSON.stringify({ time: new Date().toISOString(), message: line, ...more }) : line);
  };
  const stop = new AbortController();
  const entries = entriesOf(words, entryFlags(flags));
  const loading = loadServed(entries, stop.signal).then((models) => checkPrompt(models, flags.defaultPromptName));
  loading.catch(() => {}); // awaited below
  const { serve } = await import("../serve/index.js"); // while the models are read
  const server = await serve(loading, optionsOf(flags)).catch(async (error) => {
    stop.abort();
    await disposeServed(await loading.catch(() => []));
    throw error;
  });
  const who = flags.hostname === "127.0.0.1" ? " (this machine alone; --hostname 0.0.0.0 for all)" : "";
  const ended = new Promise<void>((end) => {
    let isEnding = false;
    const onSignal = async () => {
      if (isEnding) process.exit(1);
      isEnding = true;
      say("stopping: requests that have begun are answered");
      if (!(await server.close())) say(`stopped after ${flags.drainTimeout} s: some requests had no answer`);
      stop.abort(new Error("stopped before the models were loaded"));
      end();
    };
    process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  });
  say(`${server.url}: loading ${words.join(", ")}${who}`, { url: server.url });
  try {
    const models = await Promise.race([loading, ended.then(() => undefined)]);
    if (models) say(`${server.url}: ready`, { models: models.map(({ name }) => name) });
    await ended;
    if (!models) process.exit(0); // a model that is half loaded holds the process
  } finally {
    await server.close();
    await disposeServed(await loading.catch(() => []));
  }
}

function optionsOf(flags: ServeFlags): ServerOptions {
  const { hostname, port, maxConcurrentRequests, maxClientBatchSize, payloadLimit, autoTruncate, tokenIds, maxTokens } =
    flags;
  const { defaultPrompt, defaultPromptName } = flags;
  const fileKeys = flags.apiKeyFile === undefined ? [] : keysOf(flags.apiKeyFile);
  const apiKeys = [...(flags.apiKey ?? []), ...fileKeys];
  return {
    ...given({
      hostname,
      port,
      maxConcurrentRequests,
      maxClientBatchSize,
      payloadLimit,
      autoTruncate,
      tokenIds,
      maxTokens,
      defaultPrompt,
      defaultPromptName,
    }),
    apiKeys,
    queueTimeoutMs: 1000 * flags.queueTimeout,
    drainTimeoutMs: 1000 * flags.drainTimeout,
    requestTimeoutMs: 1000 * flags.requestTimeout,
    corsAllowOrigins: flags.corsAllowOrigin ?? [],
    log: (record) => console.log(flags.jsonOutput ? JSON.stringify(record) : recordLine(record)),
  };
}

function keysOf(file: string): string[] {
  const keys = readFileSync(file, "utf8")
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (keys.length === 0)
    throw new Error(`${file}: expected a key a line, got none\nWrite one into it, or leave the option out.`);
  return keys;
}

/** `12:05:09 POST /embed 200 12.3 ms, 3 texts, 45 tokens` */
function recordLine({ time, method, path, status, ms, inputs, tokens, error, stack }: RequestRecord): string {
  const work = inputs === undefined ? "" : `, ${inputs} texts, ${tokens} tokens`;
  const why = error === undefined ? "" : `, ${JSON.stringify(error)}`;
  return `${time.slice(11, 19)} ${method} ${path} ${status} ${ms} ms${work}${why}${stack ? `\n${stack}` : ""}`;
}

function entryFlags(flags: ServeFlags): EntryFlags {
  const { maxBatchTokens, maxWaitingTokens, servedModelName: served, task: tasks, instances } = flags;
  const options = { ...loadOptions(flags), ...given({ maxWaitingTokens, batchTokens: maxBatchTokens }), shared: true };
  return { served, tasks, instances, options };
}

/** Throws where a model that embeds has no prompt of that name. */
function checkPrompt(models: ServedModel[], promptName: string | undefined): ServedModel[] {
  const encoders = models.flatMap(({ encoder }) => encoder ?? []) as Encoder[];
  if (promptName !== undefined) for (const encoder of encoders) encoder.promptFor("serve", { promptName });
  return models;
}
