// The libtorch engine behind FillMask.

import { availableParallelism } from "node:os";
import { noGrad, setNumThreads, tidy } from "@neobert/torch";
import { TorchModel } from "../model/torch-model.js";
import type { MaskedLM } from "./fill-mask.js";

/** A masked language model from a Hugging Face folder, on all cores. */
export function loadTorchMaskedLM(folder: string): MaskedLM {
  setNumThreads(availableParallelism());
  const model = TorchModel.load(folder, { head: "maskedLM" });
  return {
    likeliest: (ids, rows, topK) =>
      tidy(() =>
        noGrad(() => {
          const batch = { ids, cuSeqlens: Int32Array.of(0, ids.length) };
          const probabilities = model.logits(batch, rows).to("float32").softmax(-1); // [M, V]
          const k = Math.min(topK, probabilities.shape[1]!);
          const { values, indices } = probabilities.topk(k);
          const [scores, best] = [values.toArray(), indices.toArray()];
          return Array.from(rows, (_, i) => {
            return { ids: best.slice(i * k, (i + 1) * k), scores: scores.slice(i * k, (i + 1) * k) };
          });
        }),
      ),
    dispose: () => model.dispose(),
  };
}
