// The models of `neobert serve`: who they are by the words of the command line, and each loaded for what its files say that
// it does, as often as instances are asked for.

import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Classifier } from "../encoder/classifier.js";
import { CrossEncoder } from "../encoder/cross-encoder.js";
import { Encoder } from "../encoder/encoder.js";
import { FillMask } from "../encoder/fill-mask.js";
import type { LoadedModel, LoadOptions } from "../encoder/loaded-model.js";
import { TokenClassifier } from "../encoder/token-classifier.js";
import { availableCores } from "../files/cores.js";
import { weightsIdentity } from "../files/weights-identity.js";
import { resolveModel } from "../hub/resolve.js";
import { labelCount } from "../model/config-fields.js";
import { headOf, readArchitecture } from "../model/index.js";
import { LaterModel, type Part, type ServedModel } from "../serve/served-models.js";
import { readSentenceFolder } from "../vectors/sentence-transformers.js";
import { given } from "./option-values.js";
import { readServeFile, type ServedTask } from "./serve-file.js";

/** A model to serve, and how it is loaded. */
export interface ModelEntry {
  name: string;
  /** A folder, or a name on the Hub. */
  model: string;
  tasks?: ServedTask[] | undefined;
  instances: number;
  options: LoadOptions;
}

export interface EntryFlags {
  served?: string[] | undefined;
  tasks?: ServedTask[] | undefined;
  instances?: number | undefined;
  options: LoadOptions;
}

/** What words name: MODEL, NAME=MODEL, or a YAML file of models. Throws where two have the same name. */
export function entriesOf(words: readonly string[], flags: EntryFlags): ModelEntry[] {
  const { served = [], tasks, instances = 1, options } = flags;
  const entries = words.flatMap((word): ModelEntry[] => {
    if (/\.ya?ml$/.test(word)) {
      return readServeFile(word).map(({ name, model, task, instances: own, ...settings }) => ({
        name: name ?? nameOf(model),
        model,
        tasks: task ?? tasks,
        instances: own ?? instances,
        options: { ...options, ...given(settings) },
      }));
    }
    const [, name, model = word] = (!existsSync(word) && /^([\w.:-]+)=(.+)$/.exec(word)) || [];
    return [{ name: name ?? nameOf(model), model, tasks, instances, options }];
  });
  if (served.length > 0 && served.length !== entries.length) {
    throw new Error(
      `serve: expected ${entries.length} names in --served-model-name, got ${served.length}\nGive each model one, or none of them.`,
    );
  }
  for (const [i, name] of served.entries()) entries[i]!.name = name;
  const twice = entries.find(({ name }, i) => entries.findIndex((other) => other.name === name) < i);
  if (twice) {
    throw new Error(
      `serve: expected models of different names, got two of ${twice.name}\nName them: NAME=MODEL, or --served-model-name.`,
    );
  }
  return entries;
}

/** A name on the Hub as it is; of a folder, the last part that says something. */
function nameOf(nameOrFolder: string): string {
  const parts = resolve(nameOrFolder).split("/");
  if (/^[\w.-]+\/[\w.-]+$/.test(nameOrFolder) && parts.length > 2) return nameOrFolder;
  return basename(nameOrFolder) === "model" ? parts.at(-2) || "model" : basename(resolve(nameOrFolder));
}

/** Loads all; rejects, with nothing left loaded, where one cannot be. */
export async function loadServed(entries: readonly ModelEntry[], signal: AbortSignal): Promise<ServedModel[]> {
  const models: ServedModel[] = [];
  try {
    for (const entry of entries) {
      const { dtype, batchTokens } = entry.options;
      const model: ServedModel = { name: entry.name, dtype: dtype ?? "fp32", batchTokens };
      models.push(model);
      await load(model, entry, signal);
    }
    return models;
  } catch (error) {
    await disposeServed(models);
    throw error;
  }
}

async function load(served: ServedModel, entry: ModelEntry, signal: AbortSignal): Promise<void> {
  const { model, instances, tasks } = entry;
  const ownThreads = Math.max(1, Math.floor(availableCores() / instances));
  const options: LoadOptions = { ...(instances > 1 && { threads: ownThreads }), ...entry.options, signal };
  const folder = await resolveModel(model, options);
  const own = ownTasks(folder);
  /** As many as there are to be, one after another: the first leaves its graph to the others. */
  const all = async <M extends LoadedModel>(loadOne: () => Promise<M>): Promise<Part<M>> => {
    const loaded: M[] = [];
    try {
      while (loaded.length < instances) loaded.push(await loadOne());
      served.dtype = loaded[0]!.dtype ?? served.dtype;
      return loaded.length === 1 ? loaded[0]! : loaded;
    } catch (error) {
      await Promise.all(loaded.map((one) => one.dispose()));
      throw error;
    }
  };
  for (const task of tasks ?? own.tasks) {
    if (task === "embed") served.encoder = await all(() => Encoder.load(model, options));
    else if (task === "fill-mask") served.fillMask = await all(() => FillMask.load(model, options));
    else if (task === "tag") served.tagger = await all(() => TokenClassifier.load(model, options));
    else if (task === "rerank" || own.labels === 1) {
      served.reranker ??= await all(() => CrossEncoder.load(model, options));
    } else served.classifier = await all(() => Classifier.load(model, options));
  }
  if (!tasks && own.fillsMasks) served.fillMask = new LaterModel(() => FillMask.load(model, options));
  served.revision = await weightsIdentity(folder);
}

/**
 * What a model's files say that it does. A masked language model embeds, and is loaded to fill masks when it is first asked
 * to: few are, and its weights are then held twice.
 */
function ownTasks(folder: string): { tasks: ServedTask[]; fillsMasks?: boolean; labels: number } {
  const { modelFolder } = readSentenceFolder(folder);
  const architecture = readArchitecture(modelFolder);
  const head = headOf(architecture);
  const labels = labelCount(architecture.config);
  if (head === "sequenceClassification") return { tasks: [labels === 1 ? "rerank" : "classify"], labels };
  if (head === "tokenClassification") return { tasks: ["tag"], labels };
  const fillsMasks = head === "maskedLM" && !existsSync(join(folder, "modules.json"));
  return { tasks: ["embed"], fillsMasks, labels };
}

export async function disposeServed(models: readonly ServedModel[]): Promise<void> {
  const parts = models.flatMap(({ encoder, classifier, reranker, fillMask, tagger }) => [
    encoder,
    classifier,
    reranker,
    fillMask,
    tagger,
  ]);
  await Promise.all(parts.flatMap((part) => part ?? []).map((part) => part.dispose()));
}
