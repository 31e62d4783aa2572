// The tensors a step computes with: the float32 master weights themselves, or, in bf16, copies of the matrices, which the
// optimizer writes anew with the masters. Over several micro-batches the copies' gradients are added up in float32; where
// there is one micro-batch the optimizer takes them as they are.

import { type Copies, keep, noGrad, type Tensor, tidy } from "@neobert/torch";
import type { TorchModel } from "./torch-model.js";

/** The type that matrices are multiplied in. */
export type ComputeType = "fp32" | "bf16";

export class ComputeWeights {
  readonly #model: TorchModel;
  readonly #copies = new Map<string, Tensor>();
  /** Master -> copy, for the optimizer; undefined in fp32. */
  readonly copies: Copies | undefined;
  readonly #tied: Set<string>;

  constructor(model: TorchModel, dtype: ComputeType) {
    this.#model = model;
    this.#tied = new Set(model.specs.flatMap(({ name, tied }) => (tied ? [name] : [])));
    if (dtype === "fp32") return;
    const copies = new Map<Tensor, Tensor>();
    const decodes = model.head === "maskedLM";
    for (const { name, role, tied = false } of model.specs) {
      if (role !== "matrix" && !(tied && decodes)) continue;
      const copy = keep(tidy(() => copyOf(model.weight(name))));
      this.#copies.set(name, copy);
      copies.set(model.weight(name), copy);
    }
    this.copies = copies;
  }

  /** The tensor to compute with for a parameter's name: rows of a table are looked up in float32. */
  readonly weights = (name: string, use?: "product"): Tensor =>
    (use === "product" || !this.#tied.has(name) ? this.#copies.get(name) : undefined) ?? this.#model.weight(name);

  /** Makes the copies equal to the masters again: after a change that the optimizer did not make. */
  refresh(): void {
    noGrad(() => {
      for (const [name, copy] of this.#copies) copy.copy_(this.#model.weight(name));
    });
  }

  /**
   * Adds the copies' gradients to the masters', after a micro-batch. After the last of its step, those whose master has no
   * gradient of its own stay where they are, for the optimizer.
   */
  collectGradients(isLast: boolean): void {
    tidy(() =>
      noGrad(() => {
        for (const [name, copy] of this.#copies) {
          const gradient = copy.grad;
          const master = this.#model.weight(name);
          const sum = master.grad;
          if (!gradient || (isLast && !sum)) continue;
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
