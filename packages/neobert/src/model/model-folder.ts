// A model as a Hugging Face folder, without an engine: its config, its head, and each parameter as float32 when it is asked
// for; and the same written in the published form.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../files/atomic.js";
import { shortened } from "../files/checked.js";
import { writeSafetensors } from "../files/safetensors.js";
import { openCheckpoint } from "../files/weight-files.js";
import type { Head } from "./architecture.js";
import { headOf, type ModelArchitecture } from "./architectures.js";
import { matchCheckpointNames, savedName } from "./checkpoint-names.js";
import { readArchitecture } from "./config-file.js";
import { toFloat32 } from "./float32.js";
import { initialValues } from "./init.js";

export interface SavedParts {
  /** With its config. */
  architecture: ModelArchitecture;
  head: Head;
  /** Makes the float32 values of a parameter, by its published name. */
  values: (name: string) => Float32Array;
}

export interface ModelFolder extends SavedParts {
  close(): void;
}

export interface OpenOptions {
  /** The head its config names unless another is asked for. */
  head?: Head;
  /** Start the head anew where the checkpoint lacks it, from this seed (0). */
  freshHead?: boolean;
  seed?: number;
  /** Fields of config.json to set anew, such as other labels; parts of a fresh head that change shape start anew too. */
  config?: Record<string, unknown>;
}

/**
 * Opens a model folder. Throws one error that lists every missing and unexpected tensor. Close it when the weights are
 * read.
 */
export function openModel(folder: string, options: OpenOptions = {}): ModelFolder {
  const architecture = readArchitecture(folder, options.config);
  const { head = headOf(architecture), freshHead = false, seed = 0 } = options;
  const checkpoint = openCheckpoint(folder);
  try {
    const found = new Map(checkpoint.names().map((name) => [name, checkpoint.info(name).shape]));
    const reshapedHead = freshHead && options.config !== undefined;
    const { stored, fresh, unused, outer } = matchCheckpointNames(found, {
      architecture,
      head,
      freshHead,
      reshapedHead,
      where: folder,
    });
    if (outer !== "") warnOnce(folder, `the tensors' names begin with ${shortened(outer, 200)}, which is left out`);
    if (unused.length > 0)
      warnOnce(folder, `tensors that no ${architecture.title} has are left out: ${unused.join(", ")}`);
    const started = new Map(fresh.map((spec) => [spec.name, spec]));
    const values = (name: string) => {
      const spec = started.get(name);
      return spec ? initialValues(spec, seed) : toFloat32(checkpoint.read(stored.get(name)!));
    };
    return { architecture, head, values, close: () => checkpoint.close() };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}

const warnings = new Set<string>();

/** A warning of the process, the first time that it is due: a model may be opened several times. */
function warnOnce(folder: string, text: string): void {
  const warning = `${folder}: ${text}`;
  if (!warnings.has(warning)) process.emitWarning(warning);
  warnings.add(warning);
}

/**
 * Writes `config.json` and `model.safetensors` (float32) in the published form into `folder`, made if need be. `write` may
 * put the tensors elsewhere, or later.
 */
export function saveModel(
  folder: string,
  { architecture, head, values }: SavedParts,
  write: typeof writeSafetensors = writeSafetensors,
): void {
  mkdirSync(folder, { recursive: true });
  // Which code loads it, and in which type it was, is not what holds for the written one.
  const {
    auto_map: _,
    dtype: __,
    ...kept
  } = architecture.config as ModelArchitecture["config"] & { auto_map?: unknown; dtype?: unknown };
  const written = { ...kept, architectures: [architecture.classNames[head]], torch_dtype: "float32" };
  const sorted = Object.fromEntries(Object.entries(written).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileAtomic(join(folder, "config.json"), `${withFloats(JSON.stringify(sorted, null, 2))}\n`);
  const tensors = architecture.parameters(head).map(({ name, shape }) => {
    const data = () => values(name) as Float32Array<ArrayBuffer>;
    return { name: savedName(name, architecture, head), dtype: "F32" as const, shape, data };
  });
  write(join(folder, "model.safetensors"), tensors, { format: "pt" });
}

/** JSON whose real numbers have a point: transformers 5 refuses a dropout of 0 or a rotary base of 10000 that has none. */
function withFloats(json: string): string {
  return json.replace(/^( *"\w*(?:prob|dropout|eps|range|factor|theta|scale)": -?\d+)(?=,?$)/gm, "$1.0");
}
