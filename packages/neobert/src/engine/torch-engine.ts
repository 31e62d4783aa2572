// The libtorch engine: a TorchModel without gradients. In bf16 the matrices are bfloat16 copies, norms and softmax stay
// float32, as in training.

import { noGrad, setNumThreads, type Tensor, tidy } from "@neobert/torch";
import { availableCores } from "../files/cores.js";
import type { Head } from "../model/architecture.js";
import type { DeviceChoice } from "../model/device-choice.js";
import { chosenDevice } from "../model/torch/chosen-device.js";
import { ComputeWeights } from "../model/torch/torch-compute-weights.js";
import { TorchModel } from "../model/torch/torch-model.js";
import type { Engine } from "./engine.js";

/** Bounds memory; libtorch is about as fast with fewer. */
const MOST_TOKENS = 4096;

export interface TorchEngineOptions {
  dtype: "fp32" | "bf16";
  head?: Head;
  device?: DeviceChoice;
  threads?: number;
}

/** A model of a Hugging Face folder on libtorch. Throws as `TorchModel.load` does. */
export function loadTorchEngine(folder: string, options: TorchEngineOptions): Engine {
  const { dtype, head, device = "cpu", threads = availableCores() } = options;
  setNumThreads(threads);
  const model = TorchModel.load(folder, { device: chosenDevice(device), ...(head && { head }) });
  const compute = noGrad(() => new ComputeWeights(model, dtype));
  const { weights } = compute;
  const values = async (run: () => Tensor) =>
    tidy(() => noGrad(() => run().to("float32").toTypedArray())) as Float32Array;
  return {
    kind: "torch",
    config: model.config,
    head: model.head,
    mostTokens: MOST_TOKENS,
    hidden: (batch) => values(() => model.hidden(batch, { weights })),
    maskedLogits: (batch, rows) => values(() => model.logits(batch, rows, { weights })),
    sequenceLogits: (batch) => values(() => model.sequenceLogits(batch, { weights })),
    tokenLogits: (batch) => values(() => model.tokenLogits(batch, { weights })),
    dispose: async () => {
      compute.dispose();
      model.dispose();
    },
  };
}
