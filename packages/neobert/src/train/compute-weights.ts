// The tensors a step computes with: the float32 master weights themselves, or, in bf16, copies of the matrices, which the
// optimizer writes anew with the masters. Over several micro-batches the copies' gradients are added up in float32; where
// there is one micro-batch the optimizer takes them as they are.

import { type Copies, keep, noGrad, type Tensor, tidy } from "@neobert/torch";
import type { TorchModel } from "../model/torch-model.js";

/** The type that matrices are multiplied in. */
export type ComputeType = "fp32" | "bf16";

export class ComputeWeights {
  readonly #model: TorchModel;
  readonly #copies = new Map<string, Tensor>();
  /** Master -> copy, for the optimizer; undefined in fp32. */
  readonly copies: Copies | undefined;

  constructor(model: TorchModel, dtype: ComputeType) {
    this.#model = model;
    if (dtype === "fp32") return;
    const copies = new Map<Tensor, Tensor>();
    for (const { name, role } of model.specs) {
      if (role !== "matrix") continue;
      const copy = keep(tidy(() => copyOf(model.weight(name))));
      this.#copies.set(name, copy);
      copies.set(model.weight(name), copy);
    }
    this.copies = copies;
  }

  /** The tensor to compute with for a parameter's name. */
  readonly weights = (name: string): Tensor => this.#copies.get(name) ?? this.#model.weight(name);

  /** Makes the copies equal to the masters again: after a change that the optimizer did not make. */
  refresh(): void {
    noGrad(() => {
      for (const [name, copy] of this.#copies) copy.copy_(this.#model.weight(name));
    });
  }

  /** Adds the copies' gradients to the masters': between the micro-batches of a step. */
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

  /** Drops the copies' gradients: after each step. */
  zeroGrad(): void {
    for (const copy of this.#copies.values()) copy.grad = undefined;
  }

  dispose(): void {
    for (const copy of this.#copies.values()) copy.dispose();
  }
}

function copyOf(master: Tensor): Tensor {
  return master.detach().to("bfloat16").requiresGrad_();
}
