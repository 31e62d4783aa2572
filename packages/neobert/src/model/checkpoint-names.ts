// Which tensor of a checkpoint is which parameter. A model with a head stores its encoder under a prefix (`model.`), a
// bare encoder without; both are understood whatever is loaded, and so are the prefixes of PyTorch's wrappers, that of a
// larger module that the model was saved as a part of, and the other spellings that an architecture's file lists.
// Everything that does not fit is told at once; what no model here has is left out, as transformers does.

import { shortened } from "../files/checked.js";
import type { Head, ParameterSpec } from "./architecture.js";
import type { ModelArchitecture } from "./architectures.js";

// Tables that some checkpoints carry and that are computed here.
const COMPUTED = /(^|\.)(freqs_cis|inv_freq|position_ids|token_type_ids)$/;

/** What torch.compile and DataParallel put before the names of what they wrap. */
const WRAPPERS = /(?<=^|\.)(?:_orig_mod|module)\./g;

export interface MatchedNames {
  /** Parameter name -> name in the checkpoint. */
  stored: Map<string, string>;
  /** Parameters that the checkpoint lacks and that start anew: a fresh head's, and zero biases left out. */
  fresh: ParameterSpec[];
  /** Names in the checkpoint of tensors that the architecture does not have, with none of its heads. */
  unused: string[];
  /** What stood before the names, and is no prefix of the architecture or of a wrapper. */
  outer: string;
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
 * left alone. Throws one error naming all missing and unexpected tensors and all wrong shapes; a tensor of its own is
 * unexpected only beside a parameter that it would change, as a bias where the config has none.
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
  const encoder = new Set(architecture.parameters("none").map(({ name }) => name));
  const renamed = (name: string) => renames.reduce((name, [pattern, by]) => name.replace(pattern, by), name);
  const isEncoders = (name: string) =>
    [name, renamed(name)].some((name) => encoder.has(name) || encoder.has(architecture.prefix + name));
  const outer = outerPrefix([...found.keys()], isEncoders);
  const unwrapped = (name: string) => {
    const inner = name.replace(WRAPPERS, "");
    return inner.startsWith(outer) ? inner.slice(outer.length) : inner;
  };
  const modules = new Set(specs.map(({ name }) => moduleOf(name)));
  const isPart = (name: string) => [name, architecture.prefix + name].some((name) => modules.has(moduleOf(name)));

  const stored = new Map<string, string>();
  const foreign: string[] = [];
  // Tied weights may be there twice: the parameter's own name goes before its other spellings.
  const spelt = [...found.keys()].map((name) => ({ name, full: known(name) }));
  for (const { name, full: own } of spelt.toSorted((a, b) => Number(!a.full) - Number(!b.full))) {
    const full = own ?? known(unwrapped(name)) ?? known(renamed(unwrapped(name)));
    if (full === undefined) {
      if (!COMPUTED.test(name) && !ignored?.test(unwrapped(name))) foreign.push(name);
    } else if (expected.has(full) && !stored.has(full)) stored.set(full, name);
  }
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
  const changing = foreign.filter((name) => isPart(renamed(unwrapped(name))));
  if (missing.length + changing.length + wrong.length > 0) {
    const unexpected = foreign.map((name) => `${name} [${found.get(name)}]`);
    const lines = [`${where}: expected the ${specs.length} tensors of ${architecture.classNames[head]}, got others`];
    if (missing.length > 0)
      lines.push(`missing: ${shortened(missing.map(({ name, shape }) => `${name} [${shape}]`).join(", "), 1600)}`);
    if (unexpected.length > 0) lines.push(`unexpected: ${shortened(unexpected.join(", "), 1600)}`);
    if (wrong.length > 0) lines.push(`wrong shape: ${shortened(wrong.join("; "), 1600)}`);
    const headOnly = missing.length > 0 && missing.every(isHead) && unexpected.length + wrong.length === 0;
    lines.push(
      headOnly
        ? "The checkpoint has no such head: fine-tune one, or use the model for what it was trained for."
        : "Compare config.json with the checkpoint.",
    );
    throw new Error(lines.join("\n"));
  }
  return { stored, fresh: lacking, unused: foreign, outer };
}

/**
 * What stands before the encoder's names where it was a part of something larger: `0.auto_model.` in sentence-transformers,
 * `model.` in Lightning. Empty where some name is the architecture's as it is.
 */
function outerPrefix(names: string[], isEncoders: (name: string) => boolean): string {
  const bare = names.map((name) => name.replace(WRAPPERS, ""));
  if (bare.some(isEncoders)) return "";
  for (const name of bare) {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      if (isEncoders(name.slice(dot + 1))) return name.slice(0, dot + 1);
    }
  }
  return "";
}

/** The part of a model whose parameter this is: `layer.0.norm` of `layer.0.norm.bias`. */
function moduleOf(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf("."), 0));
}

/** The name under which a parameter is saved: without the prefix where there is no head. */
export function savedName(name: string, architecture: Pick<ModelArchitecture, "prefix">, head: Head): string {
  return head === "none" && name.startsWith(architecture.prefix) ? name.slice(architecture.prefix.length) : name;
}
