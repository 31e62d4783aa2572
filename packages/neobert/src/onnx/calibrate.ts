// Which linear layers stay float32 in an int8 model: those whose results the quantization changes too much on a few
// sentences. With one scale a token, one channel of massive activations (NeoBERT's residual stream reaches 1,300 in one)
// leaves the others few steps. Weights alone do not tell where that happens, so it is measured.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "onnxruntime-node";
import type { SavedParts } from "../model/model-folder.js";
import { calibrationBatch } from "../texts/calibration-texts.js";
import type { WeightBits } from "./int8.js";
import { writeOnnx } from "./onnx-file.js";
import { importOnnxRuntime, openSession } from "./onnxruntime.js";
import { packedFeeds, runInputs } from "./packed-feeds.js";
import { traceErrors } from "./trace.js";

/** Relative error of a layer's result, in the root mean square, above which it stays float32. */
export const LARGEST_ERROR = 0.05;

/**
 * Relative error of every linear layer in int8, by its weight's name, on the calibration texts.
 */
export async function quantizationErrors(
  folder: string,
  model: SavedParts,
  bits: WeightBits,
  texts?: readonly string[],
): Promise<Map<string, number>> {
  const { graph, names } = traceErrors(model, bits);
  const temporary = mkdtempSync(join(tmpdir(), "neobert-calibrate-"));
  try {
    const path = join(temporary, "model.onnx");
    writeOnnx(path, graph, { externalData: true, producerVersion: "", sync: false });
    const session = await openSession(path);
    const { Tensor } = await importOnnxRuntime();
    const batch = calibrationBatch(folder, model, texts);
    const results: Record<string, Tensor> = await session.run(
      packedFeeds(Tensor, session.inputNames, runInputs(batch).inputs),
    );
    await session.release();
    return new Map(names.map((name, i) => [name, Number(results[`error_${i}`]!.data[0])]));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Names of the weights whose layers stay float32, by the errors that quantizing them makes. */
export function layersToKeep(errors: Map<string, number>): string[] {
  return [...errors].filter(([, error]) => !(error <= LARGEST_ERROR)).map(([name]) => name);
}
