// What becomes of the gradients of a step: they are summed over the ranks of the world, and the optimizer turns them into new
// weights. One process by itself has nothing to sum.

import { fromTypedArray, gradNorm, noGrad, type Optimizer, type Tensor, tidy } from "@neobert/torch";
import type { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { TorchModel } from "../../model/torch/torch-model.js";

/** A tensor of the optimizer's state as it is saved: `PART.PARAMETER`, in float32. */
export interface SavedTensor {
  name: string;
  shape: readonly number[];
  data: () => Float32Array<ArrayBuffer>;
}

export interface Updater {
  /** Called after each micro-batch but a step's last, on all ranks as often: adds up what a backward pass has left. */
  collect(): Promise<void> | undefined;
  /**
   * The way back through a micro-batch has left this block: the gradients of all after it are whole. Its own may not be, as
   * a block's first norm may be computed together with the sum that ends the block before it.
   */
  blockDone(block: number, isLast: boolean): void;
  /** Sums the gradients over all ranks, and `numbers` with them. `norm` is the norm of the summed gradients. */
  sum(numbers: readonly number[]): Promise<{ sums: number[]; norm: number }>;
  /** The optimizer's step by the summed gradients, each multiplied by `gradScale`. Afterwards all ranks have the new weights. */
  update(step: { lr: number; gradScale: number }): Promise<void>;
  /** Drops all gradients, whatever has become of the step. */
  zeroGrad(): void;
  /**
   * Makes the model's float32 weights whole on every rank, which must all call it: of a sharded bfloat16 run they are the
   * owner's alone between steps. `state` does it too.
   */
  wholeWeights(): Promise<void>;
  /** The optimizer's state, whole, on rank 0; nothing on the others, which must call it too. */
  state(): Promise<SavedTensor[]>;
  /** Puts a saved state back; `read` gives a tensor's values by name. */
  load(read: (name: string) => Float32Array<ArrayBuffer>): void;
  dispose(): void;
}

export interface LocalUpdaterParts {
  model: TorchModel;
  compute: ComputeWeights;
  /** Of the model's weights. */
  optimizer: Optimizer;
}

/** The updater of one process by itself. */
export class LocalUpdater implements Updater {
  readonly #parts: LocalUpdaterParts;

  constructor(parts: LocalUpdaterParts) {
    this.#parts = parts;
  }

  collect(): undefined {
    this.#parts.compute.collectGradients(false);
  }

  blockDone(): void {}

  async sum(numbers: readonly number[]) {
    const { model, compute } = this.#parts;
    compute.collectGradients(true);
    return { sums: [...numbers], norm: gradNorm([...model.weights.values()], compute.copies) };
  }

  async update({ lr, gradScale }: { lr: number; gradScale: number }): Promise<void> {
    const { model, compute, optimizer } = this.#parts;
    const { copies } = compute;
    for (const group of optimizer.groups) group.lr = lr;
    optimizer.step({ gradScale, ...(copies && { copies }) });
    if (model.normalizeWeights()) compute.refresh();
  }

  zeroGrad(): void {
    for (const weight of this.#parts.model.weights.values()) weight.grad = undefined;
    this.#parts.compute.zeroGrad();
  }

  async wholeWeights(): Promise<void> {}

  async state(): Promise<SavedTensor[]> {
    return savedTensors(this.#parts.model, this.#parts.optimizer);
  }

  load(read: (name: string) => Float32Array<ArrayBuffer>): void {
    const { model, optimizer } = this.#parts;
    for (const { name, tensor } of stateTensors(model, optimizer)) copyInto(tensor, read(name));
  }

  dispose(): void {
    this.#parts.optimizer.dispose();
  }
}

/** The live state of every parameter of a model, by the name that it is saved under. */
function stateTensors(model: TorchModel, optimizer: Optimizer): { name: string; tensor: Tensor }[] {
  return [...model.weights].flatMap(([name, weight]) =>
    Object.entries(optimizer.state(weight)).map(([part, tensor]) => ({ name: `${part}.${name}`, tensor })),
  );
}

/** The state of an optimizer of all of a model's weights. */
export function savedTensors(model: TorchModel, optimizer: Optimizer): SavedTensor[] {
  return stateTensors(model, optimizer).map(({ name, tensor }) => ({
    name,
    shape: tensor.shape,
    data: () => tensor.toTypedArray() as Float32Array<ArrayBuffer>,
  }));
}

/** Writes values, in row order, over a tensor's own. */
export function copyInto(tensor: Tensor, values: Float32Array<ArrayBuffer>): void {
  tidy(() => noGrad(() => tensor.copy_(fromTypedArray(values, { shape: tensor.shape }))));
}
