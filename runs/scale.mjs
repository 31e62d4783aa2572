// A series' run files at another scale: what a scale's file says of a run, and of those it extends, as overrides.

import { join } from "node:path";
import { readYaml } from "./stages.mjs";

/** A run with those that it extends, from the first on. */
export function chainOf(folder, id) {
  const { extends: base } = readYaml(join(folder, `${id}.yaml`));
  return base === undefined ? [id] : [...chainOf(folder, base.replace(".yaml", "")), id];
}

/**
 * Overrides of a run file: the scale's options of each run of the chain, one over the other. `data` names texts, with their
 * weights, and a tokenizer; `shards` has their folders, `{ TOKENIZER: { TEXT: { train } } }`.
 */
export function scaledOptions(scale, chain, shards) {
  return chain.flatMap((id) => {
    const { data, ...options } = scale.runs[id] ?? {};
    if (data === undefined) return overridesOf(options);
    const paths = Object.entries(data.texts).map(([text, weight]) => ({
      path: shards[data.tokenizer][text].train,
      weight,
    }));
    return [...overridesOf(options), `data=${JSON.stringify({ train: paths })}`];
  });
}

/** `{ a: { b: 1 } }` as overrides of a run file: `a.b=1`. Lists are set whole. */
function overridesOf(options, path = []) {
  return Object.entries(options).flatMap(([key, value]) => {
    const here = [...path, key];
    const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
    return isMapping ? overridesOf(value, here) : [`${here.join(".")}=${JSON.stringify(value)}`];
  });
}
