// The models behind a server, by what they do. The server sees them as interfaces only: who loads them, and where, is not
// its matter.

import type { Classifier } from "../encoder/classifier.js";
import type { CrossEncoder } from "../encoder/cross-encoder.js";
import type { Encoder } from "../encoder/encoder.js";
import type { FillMask } from "../encoder/fill-mask.js";
import type { LoadedModel } from "../encoder/loaded-model.js";
import type { TokenClassifier } from "../encoder/token-classifier.js";
import { shortened } from "../files/checked.js";
import { RequestError } from "./request-error.js";

/** What does a task: a model, several equal ones (the one with the least to do answers), or one to be loaded. */
export type Part<M extends LoadedModel> = M | readonly M[] | LaterModel<M>;

/** A model that is loaded when it is first asked for. */
export class LaterModel<M extends LoadedModel> {
  readonly #load: () => Promise<M>;
  #loading: Promise<M> | undefined;
  /** Undefined until then. */
  loaded: M | undefined;

  constructor(load: () => Promise<M>) {
    this.#load = load;
  }

  /** Rejects where it cannot be loaded; the next call tries again. */
  load(): Promise<M> {
    this.#loading ??= this.#load().then(
      (model) => {
        this.loaded = model;
        return model;
      },
      (error) => {
        this.#loading = undefined;
        throw error;
      },
    );
    return this.#loading;
  }

  /** Frees the model, if it was ever asked for. */
  async dispose(): Promise<void> {
    const model = await this.#loading?.catch(() => undefined);
    await model?.dispose();
  }
}

/** A model by the name that clients call it, loaded for one task or several. */
export interface ServedModel {
  name: string;
  /** Commit or hash of its files. */
  revision?: string | undefined;
  /** What it is computed in, and the most tokens of a computation, for /info. */
  dtype?: string | undefined;
  batchTokens?: number | undefined;
  encoder?: Part<Encoder> | undefined;
  classifier?: Part<Classifier> | undefined;
  /** Ranks, and gives its one label as a classifier does. */
  reranker?: Part<CrossEncoder> | undefined;
  fillMask?: Part<FillMask> | undefined;
  tagger?: Part<TokenClassifier> | undefined;
}

/** What a route needs of a model; "any": its tokenizer alone. */
export interface TaskModels {
  encoder: Encoder;
  classifier: Classifier;
  reranker: CrossEncoder;
  fillMask: FillMask;
  tagger: TokenClassifier;
  any: LoadedModel;
}
export type Task = keyof TaskModels;

const doings: Record<Task, string> = {
  encoder: "embeds texts",
  classifier: "classifies texts",
  reranker: "ranks texts",
  fillMask: "fills masks",
  tagger: "tags tokens",
  any: "has a tokenizer",
};

/** The model's part for a task. */
export function partOf<T extends Task>(model: ServedModel, task: T): Part<TaskModels[T]> | undefined {
  const { encoder, classifier, reranker, fillMask, tagger } = model;
  const parts: Record<Task, Part<LoadedModel> | undefined> = {
    encoder,
    classifier: classifier ?? reranker,
    reranker,
    fillMask,
    tagger,
    any: encoder ?? classifier ?? reranker ?? fillMask ?? tagger,
  };
  return parts[task] as Part<TaskModels[T]> | undefined;
}

/** The models of a part that are loaded. */
function loadedOf<M extends LoadedModel>(part: Part<M> | undefined): readonly M[] {
  if (part instanceof LaterModel) return part.loaded ? [part.loaded] : [];
  return part === undefined ? [] : Array.isArray(part) ? part : [part as M];
}

/** What a task's part says of itself; undefined where it is not loaded yet. */
export function oneOf<T extends Task>(model: ServedModel, task: T): TaskModels[T] | undefined {
  return loadedOf(partOf(model, task))[0];
}

/** Every loaded model, once. */
export function modelsOf(served: ServedModel): LoadedModel[] {
  const { encoder, classifier, reranker, fillMask, tagger } = served;
  const parts: (Part<LoadedModel> | undefined)[] = [encoder, classifier, reranker, fillMask, tagger];
  return [...new Set(parts.flatMap(loadedOf))];
}

/** A model under its name; Ollama's clients put a tag behind it. */
export function findModel(models: readonly ServedModel[], name: string | undefined): ServedModel | undefined {
  return models.find((model) => model.name === name || `${model.name}:latest` === name);
}

/**
 * The model for a request that wants `task` done by `name`. Where only one model does it, any name will do: clients send
 * those of other services; the answer says the true one. `routesOf` names what a model has instead; `requestsOf` tells how
 * many requests an instance has.
 */
export function pickModel<T extends Task>(
  models: readonly ServedModel[],
  task: T,
  name: string | undefined,
  routesOf: (model: ServedModel) => string[],
  requestsOf: (model: LoadedModel) => number,
): { served: ServedModel; model: TaskModels[T] | Promise<TaskModels[T]> } {
  const named = findModel(models, name);
  const able = models.filter((model) => partOf(model, task) !== undefined);
  const served = named ?? able[0];
  const part = served && partOf(served, task);
  if (served === undefined || part === undefined) {
    const others = (named ? [named] : models).map((other) => `${other.name}: ${routesOf(other).join(", ")}`);
    throw new RequestError(
      "wrongModel",
      `expected a model that ${doings[task]}, got none\nWhat is served: ${others.join("; ")}`,
    );
  }
  if (named === undefined && able.length > 1 && name !== undefined) throw unknownModel(models, name);
  if (part instanceof LaterModel) return { served, model: part.loaded ?? part.load() };
  const least = (a: TaskModels[T], b: TaskModels[T]) => {
    return (b.waitingTokens - a.waitingTokens || requestsOf(b) - requestsOf(a)) < 0 ? b : a;
  };
  return { served, model: loadedOf(part).reduce(least) };
}

export function unknownModel(models: readonly ServedModel[], name: string): RequestError {
  const known = models.map((model) => model.name).join(", ");
  return new RequestError("notFound", `model ${JSON.stringify(shortened(name, 100))} not found\nServed: ${known}`, {
    param: "model",
  });
}
