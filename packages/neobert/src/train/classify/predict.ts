// A model's outputs on labelled texts, without gradients or dropout, and its mean loss on them.

import { noGrad, type Tensor, tidy } from "@neobert/torch";
import type { Weights } from "../../model/ops.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { Examples } from "./examples.js";
import { logitsOf, lossOf, type Problem, targetCount } from "./problem.js";

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
        if (isLabelled) sum += lossOf(problem, output, batch.targets, model.device).item();
        return output.toTypedArray() as Float32Array;
      }),
    );
    if (isLabelled) targets += count;
    const width = problem.labels.length;
    for (const [i, text] of order.entries()) {
      const [start, end] = problem.type === "tokens" ? [batch.cuSeqlens[i]!, batch.cuSeqlens[i + 1]!] : [i, i + 1];
      logits[text] = values.slice(start * width, end * width);
    }
  }
  return { logits, loss: sum / targets };
}
