// Which linear layers stay float32 in an int8 model: those whose results the quantization changes too much on a few
// sentences. With one scale a token, one channel of massive activations (NeoBERT's residual stream reaches 1,300 in one)
// leaves the others few steps. Weights alone do not tell where that happens, so it is measured.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Tensor } from "onnxruntime-node";
import type { SavedParts } from "../model/model-folder.js";
import { loadTokenizer } from "../tokenizer/index.js";
import type { WeightBits } from "./int8.js";
import { writeOnnx } from "./onnx-file.js";
import { importOnnxRuntime, openSession } from "./onnxruntime.js";
import { packedFeeds, runInputs } from "./packed-feeds.js";
import { traceErrors } from "./trace.js";

/** Relative error of a layer's result, in the root mean square, above which it stays float32. */
export const LARGEST_ERROR = 0.05;

const SENTENCES = [
  "The committee will publish its report on the new railway line next week.",
  "In mice, loss of the receptor reduced the inflammatory response by 43% (p < 0.01), which suggests a causal role.",
  "How do I reset my password if I no longer have access to the phone number?",
  "import numpy as np; x = np.zeros((3, 4)) # shape of the result",
  "She had never seen the sea before; when the train came out of the tunnel, there it was, grey and endless.",
  "GDP grew 2.3 percent in the third quarter, the Commerce Department said on Thursday.",
];

/**
 * Relative error of every linear layer in int8, by its weight's name, on a few English sentences (on spread ids where the
 * folder has no tokenizer).
 */
export async function quantizationErrors(
  folder: string,
  model: SavedParts,
  bits: WeightBits,
): Promise<Map<string, number>> {
  const { graph, names } = traceErrors(model, bits);
  const temporary = mkdtempSync(join(tmpdir(), "neobert-calibrate-"));
  try {
    const path = join(temporary, "model.onnx");
    writeOnnx(path, graph, { externalData: true, producerVersion: "", sync: false });
    const session = await openSession(path);
    const { Tensor } = await importOnnxRuntime();
    const texts = sampleIds(folder, model);
    const cuSeqlens = [0];
    for (const { length } of texts) cuSeqlens.push(cuSeqlens.at(-1)! + length);
    const batch = { ids: Int32Array.from(texts.flatMap((ids) => [...ids])), cuSeqlens: Int32Array.from(cuSeqlens) };
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

function sampleIds(folder: string, { architecture }: SavedParts): Int32Array[] {
  const limit = Math.min(architecture.maxPositions(), 128);
  if (existsSync(join(folder, "tokenizer.json")) || existsSync(join(folder, "vocab.txt"))) {
    const tokenizer = loadTokenizer(folder);
    return SENTENCES.map(
      (text) => tokenizer.encode(text, { maxLength: limit, truncation: "longestFirst", padding: false }).ids,
    );
  }
  const step = 7919; // a prime, so that ids spread over the vocabulary
  return SENTENCES.map((_, i) =>
    Int32Array.from(
      { length: Math.min(limit, 24) },
      (_, j) => ((i * 24 + j + 1) * step) % architecture.config.vocab_size,
    ),
  );
}
