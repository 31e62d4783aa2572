// Which tensor of a checkpoint is which parameter. A model with a head stores its encoder under a prefix (`model.`), a
// bare encoder without; both are understood whatever is loaded, and so are the other spellings that an architecture's
// file lists. Everything that does not fit is told at once.

import { shortened } from "../files/input-file.js";
import type { Head, ParameterSpec } from "./architecture.js";
import type { ModelArchitecture } from "./architectures.js";

// Tables that some exports carry and that are computed here.
const COMPUTED = /(^|\.)(freqs_cis|position_ids)$/;

export interface MatchedNames {
  /** Parameter name -> name in the checkpoint. */
  stored: Map<string, string>;
  /** Parameters that the checkpoint lacks and that start anew: a fresh head's, and zero biases left out. */
  fresh: ParameterSpec[];
}

export interface MatchOptions {
  architecture: ModelArchitecture;
  head: Head;
  /** Start the head's parameters anew where the checkpoint lacks them; otherwise that is an error. */
  freshHead?: boolean;
  /** The same for the head's parameters that have another shape there. */
  reshapedHead?: boolean;
  /** What the checkpoint is called in errors. */
  where: string;
}

/**
 * Finds each parameter of a model among the tensors of a checkpoint, given as name -> shape. Tensors of another head are
 * left alone. Throws one error naming all missing and unexpected tensors and all wrong shapes.
 */
export function matchCheckpointNames(found: Map<string, number[]>, options: MatchOptions): MatchedNames {
  const { architecture, head, freshHead = false, reshapedHead = false, where } = options;
  const specs = architecture.parameters(head);
  const expected = new Set(specs.map(({ name }) => name));
  const others = new Set<string>();
  for (const other of Object.keys(architecture.classNames) as Head[]) {
    for (const { name } of architecture.parameters(other)) if (!expected.has(name)) others.add(name);
  }

  const { renames = [], ignored, optional } = architecture.checkpoints ?? {};
  const isKnown = (name: string) => expected.has(name) || others.has(name);
  const known = (name: string) => [name, architecture.prefix + name].find(isKnown);
  const renamed = (name: string) => renames.reduce((name, [pattern, by]) => name.replace(pattern, by), name);

  const stored = new Map<string, string>();
  const unexpected: string[] = [];
  // Tied weights may be there twice: the parameter's own name goes before its other spellings.
  const spelt = [...found.keys()].map((name) => ({ name, full: known(name) }));
  for (const { name, full: own } of spelt.toSorted((a, b) => Number(!a.full) - Number(!b.full))) {
    const full = own ?? known(renamed(name));
    if (full === undefined) {
      if (!COMPUTED.test(name) && !ignored?.test(name)) unexpected.push(`${name} [${found.get(name)}]`);
    } else if (expected.has(full) && !stored.has(full)) stored.set(full, name);
  }
  const encoder = new Set(architecture.parameters("none").map(({ name }) => name));
  const isHead = ({ name }: ParameterSpec) => !encoder.has(name);
  for (const spec of reshapedHead ? specs.filter(isHead) : []) {
    if (`${found.get(stored.get(spec.name) ?? "")}` !== `${spec.shape}`) stored.delete(spec.name);
  }
  const lacking = specs.filter(({ name }) => !stored.has(name));
  const missing = lacking.filter((spec) => !(freshHead && isHead(spec)) && !optional?.test(spec.name));
  const wrong = specs.flatMap(({ name, shape }) => {
    const got = found.get(stored.get(name) ?? "");
    return got && `${got}` !== `${shape}` ? [`${name}: expected [${shape}], got [${got}]`] : [];
  });
  if (missing.length + unexpected.length + wrong.length > 0) {
    const lines = [`${where}: expected the ${specs.length} tensors of ${architecture.classNames[head]}, got others`];
    if (missing.length > 0)
      lines.push(`missing: ${shortened(missing.map(({ name, shape }) => `${name} [${shape}]`).join(", "), 1600)}`);
    if (unexpected.length > 0) lines.push(`unexpected: ${shortened(unexpected.join(", "), 1600)}`);
    if (wrong.length > 0) lines.push(`wrong shape: ${shortened(wrong.join("; "), 1600)}`);
    const headOnly = missing.length > 0 && missing.every(isHead) && unexpected.length + wrong.length === 0;
    lines.push(headOnly ? "Set freshHead to start the head anew." : "Compare config.json with the checkpoint.");
    throw new Error(lines.join("\n"));
  }
  return { stored, fresh: lacking };
}

/** The name under which a parameter is saved: without the prefix where there is no head. */
export function savedName(name: string, architecture: Pick<ModelArchitecture, "prefix">, head: Head): string {
  return head === "none" && name.startsWith(architecture.prefix) ? name.slice(architecture.prefix.length) : name;
}
