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

/** A model by the name that clients call it, loaded for one task or several. */
export interface ServedModel {
  name: string;
  /** Commit or hash of its files. */
  revision?: string | undefined;
  /** What it is computed in, and the most tokens of a computation, for /info. */
  dtype?: string | undefined;
  batchTokens?: number | undefined;
  encoder?: Encoder | undefined;
  classifier?: Classifier | undefined;
  /** Ranks, and gives its one label as a classifier does. */
  reranker?: CrossEncoder | undefined;
  fillMask?: FillMask | undefined;
  tagger?: TokenClassifier | undefined;
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
export function partOf<T extends Task>(model: ServedModel, task: T): TaskModels[T] | undefined {
  const { encoder, classifier, reranker, fillMask, tagger } = model;
  const parts = {
    encoder,
    classifier: classifier ?? reranker,
    reranker,
    fillMask,
    tagger,
    any: encoder ?? classifier ?? reranker ?? fillMask ?? tagger,
  };
  return parts[task] as TaskModels[T] | undefined;
}

/** Every loaded part, once. */
export function partsOf({ encoder, classifier, reranker, fillMask, tagger }: ServedModel): LoadedModel[] {
  const parts = [encoder, classifier, reranker, fillMask, tagger].filter((part) => part !== undefined);
  return [...new Set<LoadedModel>(parts)];
}

/** A model under its name; Ollama's clients put a tag behind it. */
export function findModel(models: readonly ServedModel[], name: string | undefined): ServedModel | undefined {
  return models.find((model) => model.name === name || `${model.name}:latest` === name);
}

/**
 * The model for a request that wants `task` done by `name`. Where only one model does it, any name will do: clients send
 * those of other services; the answer says the true one. `routesOf` names what a model has instead.
 */
export function pickModel<T extends Task>(
  models: readonly ServedModel[],
  task: T,
  name: string | undefined,
  routesOf: (model: ServedModel) => string[],
): { served: ServedModel; model: TaskModels[T] } {
  const named = findModel(models, name);
  const able = models.filter((model) => partOf(model, task) !== undefined);
  const served = named ?? able[0];
  const model = served && partOf(served, task);
  if (served === undefined || model === undefined) {
    const others = (named ? [named] : models).map((other) => `${other.name}: ${routesOf(other).join(", ")}`);
    throw new RequestError(
      "wrongModel",
      `expected a model that ${doings[task]}, got none\nWhat is served: ${others.join("; ")}`,
    );
  }
  if (named === undefined && able.length > 1 && name !== undefined) throw unknownModel(models, name);
  return { served, model };
}

export function unknownModel(models: readonly ServedModel[], name: string): RequestError {
  const known = models.map((model) => model.name).join(", ");
  return new RequestError("notFound", `model ${JSON.stringify(shortened(name, 100))} not found\nServed: ${known}`, {
    param: "model",
  });
}
