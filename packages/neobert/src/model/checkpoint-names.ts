// Which tensor of a checkpoint is which parameter. A model with a head stores its encoder under a prefix (`model.`), a
// bare encoder without; both are understood whatever is loaded. Everything that does not fit is told at once.

import type { Architecture, Head, ModelConfig, ParameterSpec } from "./architecture.js";

// Tables that some exports carry and that are computed here.
const COMPUTED = /(^|\.)(freqs_cis|position_ids)$/;

export interface MatchedNames {
  /** Parameter name -> name in the checkpoint. */
  stored: Map<string, string>;
  /** Parameters of the head that the checkpoint lacks, where fresh ones were asked for. */
  fresh: ParameterSpec[];
}

export interface MatchOptions {
  architecture: Architecture<ModelConfig>;
  config: ModelConfig;
  head: Head;
  /** Start the head's parameters anew where the checkpoint lacks them; otherwise that is an error. */
  freshHead?: boolean;
  /** What the checkpoint is called in errors. */
  where: string;
}

/**
 * Finds each parameter of a model among the tensors of a checkpoint, given as name -> shape. Tensors of another head are
 * left alone. Throws one error naming all missing and unexpected tensors and all wrong shapes.
 */
export function matchCheckpointNames(found: Map<string, number[]>, options: MatchOptions): MatchedNames {
  const { architecture, config, head, freshHead = false, where } = options;
  const specs = architecture.parameters(config, head);
  const expected = new Set(specs.map(({ name }) => name));
  const others = new Set<string>();
  for (const other of Object.keys(architecture.classNames) as Head[]) {
    for (const { name } of architecture.parameters(config, other)) if (!expected.has(name)) others.add(name);
  }

  const stored = new Map<string, string>();
  const unexpected: string[] = [];
  for (const [name, shape] of found) {
    const full = expected.has(name) || others.has(name) ? name : architecture.prefix + name;
    if (expected.has(full) && !stored.has(full)) stored.set(full, name);
    else if (!others.has(full) && !COMPUTED.test(name)) unexpected.push(`${name} [${shape}]`);
  }
  const lacking = specs.filter(({ name }) => !stored.has(name));
  const isHead = ({ name }: ParameterSpec) => !name.startsWith(architecture.prefix);
  const missing = lacking.filter((spec) => !(freshHead && isHead(spec)));
  const wrong = specs.flatMap(({ name, shape }) => {
    const got = found.get(stored.get(name) ?? "");
    return got && `${got}` !== `${shape}` ? [`${name}: expected [${shape}], got [${got}]`] : [];
  });
  if (missing.length + unexpected.length + wrong.length > 0) {
    const lines = [`${where}: expected the ${specs.length} tensors of ${architecture.classNames[head]}, got others`];
    if (missing.length > 0) lines.push(`missing: ${missing.map(({ name, shape }) => `${name} [${shape}]`).join(", ")}`);
    if (unexpected.length > 0) lines.push(`unexpected: ${unexpected.join(", ")}`);
    if (wrong.length > 0) lines.push(`wrong shape: ${wrong.join("; ")}`);
    const headOnly = missing.length > 0 && missing.every(isHead) && unexpected.length + wrong.length === 0;
    lines.push(headOnly ? "Set freshHead to start the head anew." : "Compare config.json with the checkpoint.");
    throw new Error(lines.join("\n"));
  }
  return { stored, fresh: lacking };
}

/** The name under which a parameter is saved: without the prefix where there is no head. */
export function savedName(name: string, architecture: Architecture<ModelConfig>, head: Head): string {
  return head === "none" && name.startsWith(architecture.prefix) ? name.slice(architecture.prefix.length) : name;
}
