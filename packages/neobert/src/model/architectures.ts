// The plain table from a config's `model_type` to the file that says all about that encoder; a variant of a paper is a
// field of its config, never an entry here.

import { shown } from "../files/checked.js";
import { type Bound, binding, type Head } from "./architecture.js";
import { bert } from "./bert.js";
import { euroBert } from "./eurobert.js";
import { modernBert } from "./modernbert.js";
import { neobert } from "./neobert.js";
import { nomicBert } from "./nomicbert.js";
import { roberta } from "./roberta.js";

/** model_type -> what reads a config.json of it. */
export const architectures = {
  neobert: binding(neobert),
  bert: binding(bert),
  roberta: binding(roberta),
  nomic_bert: binding(nomicBert),
  modernbert: binding(modernBert),
  eurobert: binding(euroBert),
};

export type ModelType = keyof typeof architectures;
export const modelTypes = Object.keys(architectures) as ModelType[];

/** The config of any architecture in the table. */
export type ModelConfig = ReturnType<(typeof architectures)[ModelType]["bind"]>["config"];
/** Any architecture in the table, with its config. */
export type ModelArchitecture = Bound<ModelConfig>;

/**
 * The architecture that a config.json (the parsed object) names by `model_type`, or where it has none by `architectures`,
 * with that config. Throws naming the known ones, or every wrong field.
 */
export function architectureOf(config: unknown): ModelArchitecture {
  const { model_type: modelType, architectures: names, ...rest } = Object(config);
  if (modelType === undefined || modelType === null) {
    const named = Array.isArray(names)
      ? modelTypes.find((known) => architectures[known].classNames.some((name) => names.includes(name)))
      : undefined;
    if (named) return architectures[named].bind({ ...rest, model_type: named, architectures: names });
  }
  const known = modelTypes.find((name) => name === modelType);
  if (known) return architectures[known].bind(config);
  const got = modelType === undefined ? "none" : shown(modelType);
  throw new Error(
    `config.json: expected model_type to be one of ${modelTypes.join(", ")}, got ${got}\n` +
      (typeof modelType === "string"
        ? "Take a model of one of these."
        : 'Write into it which it is, as "model_type": "bert".'),
  );
}

/** The head that `architectures` in a config.json names; the bare encoder where it names none that is known. */
export function headOf({ config, classNames, otherClassNames = {} }: ModelArchitecture): Head {
  const heads = Object.keys(classNames) as Head[];
  for (const name of config.architectures ?? []) {
    const head =
      heads.find((head) => classNames[head] === name) ??
      (Object.hasOwn(otherClassNames, name) ? otherClassNames[name] : undefined);
    if (head) return head;
  }
  return "none";
}
