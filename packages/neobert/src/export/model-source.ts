// A Hugging Face folder opened for tracing: its config, its head, and its parameters, each read when it is asked for.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint } from "../files/checkpoint.js";
import { architectureOf, type Head, headOf } from "../model/architecture.js";
import { matchCheckpointNames } from "../model/checkpoint-names.js";
import { toFloat32 } from "../model/float32.js";
import type { TraceSource } from "./trace.js";

export interface ModelSource extends TraceSource {
  close(): void;
}

/**
 * Opens a model folder; the head is the one its config names unless another is asked for.
 * Throws one error that lists every missing and unexpected tensor. Close it when the weights are written.
 */
export function openModel(folder: string, options: { head?: Head } = {}): ModelSource {
  const raw: unknown = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  const architecture = architectureOf(raw);
  const config = architecture.parseConfig(raw);
  const head = options.head ?? headOf(config, architecture);
  const checkpoint = openCheckpoint(folder);
  try {
    const found = new Map(checkpoint.names().map((name) => [name, checkpoint.info(name).shape]));
    const { stored } = matchCheckpointNames(found, { architecture, config, head, where: folder });
    return {
      ...{ architecture, config, head },
      values: (name) => toFloat32(checkpoint.read(stored.get(name)!)),
      close: () => checkpoint.close(),
    };
  } catch (error) {
    checkpoint.close();
    throw error;
  }
}
