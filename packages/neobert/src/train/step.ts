// One optimizer step, whatever is trained: forward and backward over the micro-batches, clipping, the optimizer. Losses
// are sums over targets, divided by the target count of the WHOLE step, so accumulation gives the gradient of the one
// big batch. Synchronous; every temporary is freed before it returns.

import { type Adam, clipScale, gradNorm, type Tensor, tidy } from "@neobert/torch";
import type { ComputeWeights } from "../model/torch-compute-weights.js";
import type { RunOptions, TorchModel } from "../model/torch-model.js";
import type { TorchOps } from "../model/torch-ops.js";

/** What is minimized: the summed loss of a micro-batch, a float32 scalar with a graph. */
export type Objective<B> = (microBatch: B, run: RunOptions) => Tensor;

export interface StepResult {
  /** Mean loss of the step's targets, in nats. */
  loss: number;
  /** Norm of all gradients before clipping. */
  gradNorm: number;
  seconds: { forward: number; backward: number; optimizer: number };
}

/** Loss or gradients of a step are NaN or infinite; the weights are still those of the step before. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
  /** The first micro-batch whose loss is not finite; undefined when only the gradients are not. */
  readonly microBatch: number | undefined;

  constructor(message: string, microBatch?: number) {
    super(message);
    this.microBatch = microBatch;
  }
}

export interface TrainerOptions<B> {
  model: TorchModel;
  objective: Objective<B>;
  optimizer: Adam;
  compute: ComputeWeights;
  ops: TorchOps;
  clipNorm: number;
  /** Read between micro-batches; true abandons the step. */
  shouldStop?: () => boolean;
}

export class Trainer<B> {
  readonly #options: TrainerOptions<B>;

  constructor(options: TrainerOptions<B>) {
    this.#options = options;
  }

  /**
   * Takes one step at learning rate `lr` over micro-batches with `targets` targets in all. Undefined when it was asked
   * to stop on the way: then nothing has changed. Throws a NonFiniteError before anything is updated.
   */
  step(microBatches: readonly B[], targets: number, lr: number): StepResult | undefined {
    const { model, optimizer, compute, clipNorm, shouldStop } = this.#options;
    const seconds = { forward: 0, backward: 0, optimizer: 0 };
    let sum = 0;
    for (const [index, microBatch] of microBatches.entries()) {
      if (shouldStop?.()) {
        this.#zeroGrad();
        return undefined;
      }
      const part = this.forwardBackward(microBatch, targets, seconds);
      if (!Number.isFinite(part)) {
        this.#zeroGrad();
        throw new NonFiniteError(`expected a finite loss, got ${part}`, index);
      }
      sum += part;
      compute.collectGradients(microBatches.length === 1);
    }
    const start = performance.now();
    const { copies } = compute;
    const norm = gradNorm([...model.weights.values()], copies);
    if (!Number.isFinite(norm)) {
      this.#zeroGrad();
      throw new NonFiniteError(`expected a finite gradient norm, got ${norm}`);
    }
    for (const group of optimizer.groups) group.lr = lr;
    optimizer.step({ gradScale: clipScale(norm, clipNorm), ...(copies && { copies }) });
    this.#zeroGrad();
    if (model.normalizeWeights()) compute.refresh();
    seconds.optimizer = (performance.now() - start) / 1000;
    return { loss: sum / targets, gradNorm: norm, seconds };
  }

  /** Adds the gradient of one micro-batch's summed loss over `targets`; returns the sum. Times are added to `seconds`. */
  forwardBackward(microBatch: B, targets: number, seconds = { forward: 0, backward: 0 }): number {
    const { objective, compute, ops } = this.#options;
    return tidy(() => {
      const start = performance.now();
      const loss = objective(microBatch, { ops, weights: compute.weights });
      const sum = loss.item();
      const middle = performance.now();
      ops.backward(loss.div(targets));
      seconds.forward += (middle - start) / 1000;
      seconds.backward += (performance.now() - middle) / 1000;
      return sum;
    });
  }

  #zeroGrad(): void {
    this.#options.optimizer.zeroGrad();
    this.#options.compute.zeroGrad();
  }
}
