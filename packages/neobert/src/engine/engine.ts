// What computes: one interface over two engines, ONNX Runtime (the default, from npm alone) and libtorch. An engine gets
// packed texts and gives plain arrays; pooling, normalisation and quantization of vectors are the same TypeScript for
// both. An engine lives in a worker thread (engine-worker.ts) and is loaded when a model is.

import type { Head } from "../model/architecture.js";
import type { ModelConfig } from "../model/architectures.js";
import { type DeviceChoice, deviceWords, isDeviceChoice } from "../model/device-choice.js";
import type { PackedBatch } from "../model/torch/torch-model.js";

export type { PackedBatch };

/** A loaded model that computes on packed texts. Lives in one worker thread. All results are row-major float32. */
export interface Engine {
  readonly kind: EngineName;
  /** The type that it computes linear layers in. */
  readonly dtype?: EngineDtype;
  /** What was measured to choose it, or its layers; in one line. */
  readonly note?: string;
  /** The parsed config.json. */
  readonly config: ModelConfig;
  readonly head: Head;
  /** Most tokens that are worth computing together, unless a single text has more. */
  readonly mostTokens: number;
  /** Last hidden state of every token, [N, C]. */
  hidden(batch: PackedBatch): Promise<Float32Array>;
  /** Masked-LM logits [M, V] of the tokens at `rows` (indices into the packed ids). */
  maskedLogits(batch: PackedBatch, rows: Int32Array): Promise<Float32Array>;
  /** [B, labels] */
  sequenceLogits(batch: PackedBatch): Promise<Float32Array>;
  /** [N, labels]; [N, 2] of an answer's start and end where the head answers questions. */
  tokenLogits(batch: PackedBatch): Promise<Float32Array>;
  /** Vectors of the texts [B, d], in place of `hidden` where a graph pools by itself. */
  readonly sentences?: ((batch: PackedBatch) => Promise<Float32Array>) | undefined;
  dispose(): Promise<void>;
}

export type EngineName = "onnx" | "torch";
export type EngineDtype = "fp32" | "bf16" | "int8";
/** `auto`: bf16 where this processor computes it faster and the vectors stay the same to 0.999, else fp32. */
export type DtypeChoice = EngineDtype | "auto";

export interface EngineOptions {
  engine: EngineName;
  dtype: DtypeChoice;
  /** Texts that int8 layers are chosen and scaled by, in place of built-in ones. */
  calibrate?: readonly string[];
  /** The head to load; the one that config.json names where absent. */
  head?: Head;
  /** Where engine "torch" computes; the CPU where absent. */
  device?: DeviceChoice;
  /** Threads of one computation; default: as many as there are cores. */
  threads?: number;
  /** Path of a graph that engine "onnx" runs in place of the folder's weights. */
  onnxFile?: string;
}

const dtypesOf: Record<EngineName, DtypeChoice[]> = {
  onnx: ["fp32", "int8"],
  torch: ["fp32", "bf16", "int8", "auto"],
};

/** Throws, in one sentence, where this engine does not compute in this type. */
export function checkEngine(
  where: string,
  { engine, dtype, device = "cpu" }: Pick<EngineOptions, "engine" | "dtype" | "device">,
): void {
  const engines = Object.keys(dtypesOf) as EngineName[];
  if (!engines.includes(engine)) {
    throw new Error(`${where}: expected engine "onnx" or "torch", got ${JSON.stringify(engine)}`);
  }
  if (!isDeviceChoice(device))
    throw new Error(`${where}: expected device ${deviceWords}, got ${JSON.stringify(device)}`);
  if (engine !== "torch" && device.startsWith("cuda")) {
    throw new Error(`${where}: expected engine "torch" for device "${device}", got "${engine}"`);
  }
  if (dtypesOf[engine].includes(dtype)) return;
  const able = engines.find((name) => dtypesOf[name].includes(dtype));
  throw new Error(
    able
      ? `${where}: expected engine "${able}" for dtype "${dtype}", got "${engine}"`
      : `${where}: expected dtype "fp32", "bf16", "int8" or "auto", got ${JSON.stringify(dtype)}`,
  );
}
