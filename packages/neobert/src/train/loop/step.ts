// One optimizer step, whatever is trained: forward and backward over the micro-batches, clipping, the optimizer. Losses
// are sums over targets, divided by the target count of the WHOLE step, so accumulation gives the gradient of the one
// big batch. Synchronous; every temporary is freed before it returns.

import { clipScale, type Generator, gradNorm, type Optimizer, type Tensor, tidy } from "@neobert/torch";
import type { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { ForwardOptions, TorchModel } from "../../model/torch/torch-model.js";
import type { TorchOps } from "../../model/torch/torch-ops.js";

/** What is minimized: the summed loss of a micro-batch, a float32 scalar with a graph. */
export type Objective<B> = (microBatch: B, run: ForwardOptions) => Tensor;

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

/** What every trainer works with. */
export interface TrainerParts {
  model: TorchModel;
  optimizer: Optimizer;
  compute: ComputeWeights;
  ops: TorchOps;
  /** Where the ops' dropout draws from. */
  generator?: Generator;
  clipNorm: number;
  /** Read between micro-batches; true abandons the step. */
  shouldStop?: () => boolean;
}

export type PassSeconds = Pick<StepResult["seconds"], "forward" | "backward">;

/** Takes steps, by gradients that the trainer of each kind of objective computes. */
export abstract class StepTrainer<B> {
  protected readonly parts: TrainerParts;

  constructor(parts: TrainerParts) {
    this.parts = parts;
  }

  /**
   * Adds the gradients of a step's mean loss over `targets` to the parameters and their copies; returns the loss' sum,
   * or undefined when it was asked to stop. Times are added to `seconds`. Throws a NonFiniteError for a loss that is none.
   */
  protected abstract gradients(microBatches: readonly B[], targets: number, seconds: PassSeconds): number | undefined;

  /**
   * Takes one step at learning rate `lr` over micro-batches with `targets` targets in all. Undefined when it was asked
   * to stop on the way: then nothing has changed. Throws a NonFiniteError before anything is updated.
   */
  step(microBatches: readonly B[], targets: number, lr: number): StepResult | undefined {
    const { model, optimizer, compute, clipNorm } = this.parts;
    const seconds = { forward: 0, backward: 0, optimizer: 0 };
    try {
      const sum = this.gradients(microBatches, targets, seconds);
      if (sum === undefined) return undefined;
      const start = performance.now();
      const { copies } = compute;
      const norm = gradNorm([...model.weights.values()], copies);
      if (!Number.isFinite(norm)) throw new NonFiniteError(`expected a finite gradient norm, got ${norm}`);
      for (const group of optimizer.groups) group.lr = lr;
      optimizer.step({ gradScale: clipScale(norm, clipNorm), ...(copies && { copies }) });
      if (model.normalizeWeights()) compute.refresh();
      seconds.optimizer = (performance.now() - start) / 1000;
      return { loss: sum / targets, gradNorm: norm, seconds };
    } finally {
      this.#zeroGrad();
    }
  }

  /** Gradients of one batch, for timing; they are dropped. */
  tryOut(microBatch: B, targets: number): void {
    try {
      this.gradients([microBatch], targets, { forward: 0, backward: 0 });
    } finally {
      this.#zeroGrad();
    }
  }

  #zeroGrad(): void {
    this.parts.optimizer.zeroGrad();
    this.parts.compute.zeroGrad();
  }
}

/** The trainer of an objective that is a sum over micro-batches, each by itself. */
export class Trainer<B> extends StepTrainer<B> {
  readonly #objective: Objective<B>;

  constructor({ objective, ...parts }: TrainerParts & { objective: Objective<B> }) {
    super(parts);
    this.#objective = objective;
  }

  protected gradients(microBatches: readonly B[], targets: number, seconds: PassSeconds): number | undefined {
    const { compute, ops, shouldStop } = this.parts;
    let sum = 0;
    for (const [index, microBatch] of microBatches.entries()) {
      if (shouldStop?.()) return undefined;
      const part = tidy(() => {
        const start = performance.now();
        const loss = this.#objective(microBatch, { ops, weights: compute.weights });
        const part = loss.item();
        const middle = performance.now();
        ops.backward(loss.div(targets));
        seconds.forward += (middle - start) / 1000;
        seconds.backward += (performance.now() - middle) / 1000;
        return part;
      });
      if (!Number.isFinite(part)) throw new NonFiniteError(`expected a finite loss, got ${part}`, index);
      sum += part;
      compute.collectGradients(microBatches.length === 1);
    }
    return sum;
  }
}
