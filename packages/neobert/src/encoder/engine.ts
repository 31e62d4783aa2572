// What computes: one interface over two engines, ONNX Runtime (the default, from npm alone) and libtorch. An engine gets
// packed texts and gives plain arrays; pooling, normalisation and quantization of vectors are the same TypeScript for
// both. An engine lives in a worker thread (engine-worker.ts) and is loaded when a model is.

import type { Head, ModelConfig } from "../model/architecture.js";
import type { PackedBatch } from "../model/torch-model.js";

export type { PackedBatch };

/** A loaded model that computes on packed texts. Lives in one worker thread. All results are row-major float32. */
export interface Engine {
  readonly kind: EngineName;
  /** The parsed config.json. */
  readonly config: ModelConfig;
  readonly head: Head;
  /** Last hidden state of every token, [N, C]. */
  hidden(batch: PackedBatch): Promise<Float32Array>;
  /** Masked-LM logits [M, V] of the tokens at `rows` (indices into the packed ids). */
  maskedLogits(batch: PackedBatch, rows: Int32Array): Promise<Float32Array>;
  /** [B, labels] */
  sequenceLogits(batch: PackedBatch): Promise<Float32Array>;
  /** [N, labels] */
  tokenLogits(batch: PackedBatch): Promise<Float32Array>;
  /** Vectors of the texts [B, d], in place of `hidden` where a graph pools by itself. */
  readonly sentences?: ((batch: PackedBatch) => Promise<Float32Array>) | undefined;
  dispose(): Promise<void>;
}

export type EngineName = "onnx" | "torch";
export type EngineDtype = "fp32" | "bf16" | "int8";

export interface EngineOptions {
  engine: EngineName;
  dtype: EngineDtype;
  /** The head to load; the one that config.json names where absent. */
  head?: Head;
  /** Threads of one computation; default: as many as there are cores. */
  threads?: number;
  /** Path of a graph that engine "onnx" runs in place of the folder's weights. */
  onnxFile?: string;
}

const dtypesOf: Record<EngineName, EngineDtype[]> = { onnx: ["fp32", "int8"], torch: ["fp32", "bf16"] };

/** Throws, in one sentence, where this engine does not compute in this type. */
export function checkEngine(where: string, { engine, dtype }: Pick<EngineOptions, "engine" | "dtype">): void {
  const engines = Object.keys(dtypesOf) as EngineName[];
  if (!engines.includes(engine)) {
    throw new Error(`${where}: expected engine "onnx" or "torch", got ${JSON.stringify(engine)}`);
  }
  if (dtypesOf[engine].includes(dtype)) return;
  const able = engines.find((name) => dtypesOf[name].includes(dtype));
  throw new Error(
    able
      ? `${where}: expected engine "${able}" for dtype "${dtype}", got "${engine}"`
      : `${where}: expected dtype "fp32", "bf16" or "int8", got ${JSON.stringify(dtype)}`,
  );
}

/** Loads a model folder into an engine. Throws where libtorch is wanted and not there, saying how to get it. */
export async function loadEngine(folder: string, { engine, ...options }: EngineOptions): Promise<Engine> {
  if (options.onnxFile !== undefined) {
    const { loadOnnxFileEngine } = await import("./onnx-file-engine.js");
    return loadOnnxFileEngine(folder, { ...options, onnxFile: options.onnxFile });
  }
  if (engine === "onnx") {
    const { loadOnnxEngine } = await import("./onnx-engine.js");
    return loadOnnxEngine(folder, options as EngineOptions & { dtype: "fp32" | "int8" });
  }
  const torch = await import("./torch-engine.js").catch((cause: Error) => {
    const reason = cause.message.split("\n")[0];
    throw new Error(
      `engine "torch": expected libtorch and its addon, got none (${reason})\n` +
        'Run `npx neobert setup-torch`, which fetches and compiles them, or use engine "onnx".',
    );
  });
  return torch.loadTorchEngine(folder, options as EngineOptions & { dtype: "fp32" | "bf16" });
}
