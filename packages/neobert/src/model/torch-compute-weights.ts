// The tensors a step computes with: the float32 master weights themselves, or, in bf16, copies of the matrices made once
// an optimizer step. Gradients of the copies are added to the masters' float32 gradients after every micro-batch, so
// accumulation, clipping and the optimizer see float32 only.

import { keep, noGrad, type Tensor, tidy } from "@neobert/torch";
import type { TorchModel } from "./torch-model.js";

/** The type that matrices are multiplied in. */
export type ComputeType = "fp32" | "bf16";

export class ComputeWeights {
  readonly #model: TorchModel;
  readonly #copies = new Map<string, Tensor>();

  constructor(model: TorchModel, dtype: ComputeType) {
    this.#model = model;
    if (dtype === "fp32") return;
    for (const { name, role } of model.specs) {
      if (role === "matrix") this.#copies.set(name, keep(tidy(() => copyOf(model.weight(name)))));
    }
  }

  /** The tensor to compute with for a parameter's name. */
  readonly weights = (name: string): Tensor => this.#copies.get(name) ?? this.#model.weight(name);

  /** Makes the copies equal to the masters again: after each optimizer step. */
  refresh(): void {
    noGrad(() => {
      for (const [name, copy] of this.#copies) copy.copy_(this.#model.weight(name));
    });
  }

  /** Moves the copies' gradients into the masters': after each micro-batch's backward pass. */
  collectGradients(): void {
    tidy(() =>
      noGrad(() => {
        for (const [name, copy] of this.#copies) {
          const gradient = copy.grad;
          if (!gradient) continue;
          const master = this.#model.weight(name);
          const sum = master.grad;
          if (sum) sum.add_(gradient);
          else master.grad = gradient.to("float32");
          copy.grad = undefined;
        }
      }),
    );
  }

  dispose(): void {
    for (const copy of this.#copies.values()) copy.dispose();
  }
}

function copyOf(master: Tensor): Tensor {
  return master.detach().to("bfloat16").requiresGrad_();
}
