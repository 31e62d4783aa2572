// A model's outputs on labelled texts, without gradients or dropout, and its mean loss on them.

import { noGrad, type Tensor, tidy } from "@neobert/torch";
import type { Weights } from "../../model/ops.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { Examples } from "./examples.js";
import { isPerToken, type Problem, targetCount } from "./problem.js";
import { logitsOf, lossOf } from "./problem-loss.js";

export interface Outputs {
  /** Logits of each text in the order of the examples: [L], or [tokens * L]. */
  logits: Float32Array[];
  /** Mean over the targets; NaN where the examples have none. */
  loss: number;
}

/** Runs over all examples, packed in batches of at most `tokens`. */
export function predict(
  problem: Problem,
  model: TorchModel,
  examples: Examples,
  { weights, tokens }: { weights?: Weights<Tensor>; tokens: number },
): Outputs {
  const logits = new Array<Float32Array>(examples.length);
  let [sum, targets] = [0, 0];
  for (const order of examples.plan(tokens)) {
    const batch = examples.pack(order);
    const count = targetCount(problem, batch);
    const isLabelled = count > 0 && batch.targets.every((target) => !Number.isNaN(target));
    const values = tidy(() =>
      noGrad(() => {
        const output = logitsOf(problem, model, batch, weights ? { weights } : {});
        if (isLabelled) sum += lossOf(problem, output, batch, model.device).item();
        return output.toTypedArray() as Float32Array;
      }),
    );
    if (isLabelled) targets += count;
    const width = problem.labels.length;
    let row = 0;
    for (const text of order) {
      const rows = isPerToken(problem) ? examples.tokenCount(text) : 1;
      logits[text] = values.slice(row * width, (row + rows) * width);
      row += rows;
    }
  }
  return { logits, loss: sum / targets };
}
