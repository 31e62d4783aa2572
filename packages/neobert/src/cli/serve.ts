// `neobert serve MODEL...`: models behind HTTP, in the contracts that clients of embedding servers have. Flags and variables are
// named as Text Embeddings Inference's where they mean the same; HOSTNAME is left out, which containers set to their own
// name. The first signal drains, a second one ends at once.

import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { Classifier } from "../encoder/classifier.js";
import { CrossEncoder } from "../encoder/cross-encoder.js";
import { Encoder } from "../encoder/encoder.js";
import { FillMask } from "../encoder/fill-mask.js";
import type { LoadOptions } from "../encoder/loaded-model.js";
import { TokenClassifier } from "../encoder/token-classifier.js";
import { weightsIdentity } from "../files/weights-identity.js";
import { resolveModel } from "../hub/resolve.js";
import { labelCount } from "../model/config-fields.js";
import { headOf, readArchitecture } from "../model/index.js";
import { type RequestRecord, type ServedModel, type ServerOptions, serve } from "../serve/index.js";
import { readSentenceFolder } from "../vectors/sentence-transformers.js";
import { addModelOptions, loadOptions, type ModelFlags } from "./model-options.js";
import { given, positive, wholeNumber } from "./option-values.js";

const tasks = ["embed", "classify", "rerank", "fill-mask", "tag"] as const;
type ServedTask = (typeof tasks)[number];

interface ServeFlags extends ModelFlags {
  servedModelName?: string[];
  task?: ServedTask[];
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
  autoTruncate: boolean;
  tokenIds: "own" | "refuse";
  corsAllowOrigin?: string[];
  jsonOutput: boolean;
}

const words = (value: string, before: string[] = []) => [...before, ...value.split(",").map((word) => word.trim())];

function yesOrNo(value: string): boolean {
  if (value === "true" || value === "1") return true;
  if (value === "false" || value === "0") return false;
  throw new InvalidArgumentError(`Expected true or false, got "${value}".`);
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
    .argument("<models...>", "model folders, run folders, or names on the Hub")
    .addOption(
      new Option("--served-model-name <names>", "what clients call the models")
        .argParser(words)
        .env("SERVED_MODEL_NAME"),
    )
    .addOption(new Option("--task <tasks...>", "what the models do (default: as their files say)").choices(tasks))
    .option("--hostname <address>", "address to listen on; 0.0.0.0: all of this machine's", "127.0.0.1")
    .addOption(new Option("--port <n>", "port to listen on; 0: any").argParser(wholeNumber).default(3000).env("PORT"))
    .addOption(new Option("--api-key <keys>", "keys that open the routes").argParser(words).env("API_KEY"))
    .option("--api-key-file <file>", "file with a key a line")
    .addOption(whole("--max-batch-tokens <n>", "same as --batch-tokens", "MAX_BATCH_TOKENS"))
    .option("--max-waiting-tokens <n>", "most tokens that wait; then 429 (default: 2^20)", positive)
    .addOption(
      whole(
        "--max-concurrent-requests <n>",
        "most requests at once; then 429 (default: 512)",
        "MAX_CONCURRENT_REQUESTS",
      ),
    )
    .addOption(whole("--max-client-batch-size <n>", "most texts of a request (default: 2048)", "MAX_CLIENT_BATCH_SIZE"))
    .addOption(whole("--payload-limit <bytes>", "most bytes of a request (default: 16000000)", "PAYLOAD_LIMIT"))
    .option("--queue-timeout <seconds>", "answer 503 after this time; 0: never", wholeNumber, 300)
    .option("--drain-timeout <seconds>", "time that requests have to end after SIGTERM", wholeNumber, 30)
    .addOption(
      new Option("--auto-truncate [bool]", "cut texts that are too long where a request does not say")
        .argParser(yesOrNo)
        .preset("true")
        .default(true)
        .env("AUTO_TRUNCATE"),
    )
    .addOption(
      new Option("--token-ids <how>", "lists of token ids as inputs").choices(["own", "refuse"]).default("own"),
    )
    .addOption(
      new Option("--cors-allow-origin <origins>", "origins that browsers may call from (default: none)")
        .argParser(words)
        .env("CORS_ALLOW_ORIGIN"),
    )
    .option("--json-output", "log in JSON lines (env: JSON_OUTPUT)", variableSays("JSON_OUTPUT"));
  return addModelOptions(command).action(run);
}

function whole(flags: string, text: string, variable: string): Option {
  return new Option(flags, text).argParser(positive).env(variable);
}

async function run(names: string[], flags: ServeFlags): Promise<void> {
  const say = (line: string, more: object = {}) => {
    console.log(flags.jsonOutput ? JSON.stringify({ time: new Date().toISOString(), message: line, ...more }) : line);
  };
  const stop = new AbortController();
  const loading = loadAll(names, flags, stop.signal);
  loading.catch(() => {}); // awaited below
  const server = await serve(loading, optionsOf(flags)).catch(async (error) => {
    stop.abort();
    await disposeAll(await loading.catch(() => []));
    throw error;
  });
  const who = flags.hostname === "127.0.0.1" ? " (this machine alone; --hostname 0.0.0.0 for all)" : "";
  say(`${server.url}: loading ${names.join(", ")}${who}`, { url: server.url });
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
  try {
    const models = await Promise.race([loading, ended.then(() => undefined)]);
    if (models) say(`${server.url}: ready`, { models: models.map(({ name }) => name) });
    await ended;
    if (!models) process.exit(0); // a model that is half loaded holds the process
  } finally {
    await server.close();
    await disposeAll(await loading.catch(() => []));
  }
}

function optionsOf(flags: ServeFlags): ServerOptions {
  const { hostname, port, maxConcurrentRequests, maxClientBatchSize, payloadLimit, autoTruncate, tokenIds, maxTokens } =
    flags;
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
    }),
    apiKeys,
    queueTimeoutMs: 1000 * flags.queueTimeout,
    drainTimeoutMs: 1000 * flags.drainTimeout,
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

async function loadAll(names: string[], flags: ServeFlags, signal: AbortSignal): Promise<ServedModel[]> {
  const { maxBatchTokens, maxWaitingTokens, servedModelName: served = [] } = flags;
  if (served.length > 0 && served.length !== names.length) {
    throw new Error(
      `serve: expected ${names.length} names in --served-model-name, got ${served.length}\nGive each model one, or none of them.`,
    );
  }
  const options: LoadOptions = {
    ...loadOptions(flags),
    ...(maxBatchTokens !== undefined && { batchTokens: maxBatchTokens }),
    ...(maxWaitingTokens !== undefined && { maxWaitingTokens }),
    shared: true,
    signal,
  };
  const models: ServedModel[] = [];
  try {
    for (const [i, name] of names.entries()) {
      const model: ServedModel = {
        name: served[i] ?? nameOf(name),
        dtype: options.dtype ?? "fp32",
        batchTokens: options.batchTokens,
      };
      if (models.some((other) => other.name === model.name)) {
        throw new Error(
          `serve: expected models of different names, got two of ${model.name}\nPass --served-model-name.`,
        );
      }
      models.push(model);
      await load(model, name, options, flags.task);
    }
    return models;
  } catch (error) {
    await disposeAll(models);
    throw error;
  }
}

/** A name on the Hub as it is; of a folder, the last part that says something. */
function nameOf(nameOrFolder: string): string {
  const parts = resolve(nameOrFolder).split("/");
  if (/^[\w.-]+\/[\w.-]+$/.test(nameOrFolder) && parts.length > 2) return nameOrFolder;
  return basename(nameOrFolder) === "model" ? (parts.at(-2) ?? "model") : basename(resolve(nameOrFolder));
}

async function load(
  model: ServedModel,
  name: string,
  options: LoadOptions,
  wanted: ServedTask[] | undefined,
): Promise<void> {
  const folder = await resolveModel(name, options);
  const own = ownTasks(folder);
  for (const task of wanted ?? own.tasks) {
    if (task === "embed") model.encoder = await Encoder.load(name, options);
    else if (task === "fill-mask") model.fillMask = await FillMask.load(name, options);
    else if (task === "tag") model.tagger = await TokenClassifier.load(name, options);
    else if (task === "rerank" || own.labels === 1) model.reranker ??= await CrossEncoder.load(name, options);
    else model.classifier = await Classifier.load(name, options);
  }
  model.revision = await weightsIdentity(folder);
}

/** What a model's files say that it does. A masked language model also embeds: it is loaded twice then. */
function ownTasks(folder: string): { tasks: ServedTask[]; labels: number } {
  const { modelFolder } = readSentenceFolder(folder);
  const architecture = readArchitecture(modelFolder);
  const head = headOf(architecture);
  const labels = labelCount(architecture.config);
  if (head === "sequenceClassification") return { tasks: [labels === 1 ? "rerank" : "classify"], labels };
  if (head === "tokenClassification") return { tasks: ["tag"], labels };
  if (head === "maskedLM" && !existsSync(join(folder, "modules.json")))
    return { tasks: ["embed", "fill-mask"], labels };
  return { tasks: ["embed"], labels };
}

async function disposeAll(models: readonly ServedModel[]): Promise<void> {
  const parts = models.flatMap(({ encoder, classifier, reranker, fillMask, tagger }) => [
    encoder,
    classifier,
    reranker,
    fillMask,
    tagger,
  ]);
  await Promise.all(parts.map((part) => part?.dispose()));
}
