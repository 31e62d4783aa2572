// One optimizer step, whatever is trained: forward and backward over this rank's micro-batches, the sums over all ranks,
// clipping, the optimizer. Losses are sums over targets; their gradients are divided once, by the target count of the
// WHOLE step, so micro-batches and ranks give the gradient of the one big batch. Every temporary is freed before it ends.

import { clipScale, type Tensor, tidy } from "@neobert/torch";
import type { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { ForwardOptions, TorchModel } from "../../model/torch/torch-model.js";
import type { TorchOps } from "../../model/torch/torch-ops.js";
import type { Updater } from "../world/updater.js";
import type { World } from "../world/world.js";

/** What is minimized: the summed loss of a micro-batch, a float32 scalar with a graph. */
export type Objective<B> = (microBatch: B, run: ForwardOptions) => Tensor;

/** What a rank computes of a step. */
export interface StepShare<B> {
  microBatches: readonly B[];
  /** Of these micro-batches. */
  targets: number;
  tokens: number;
  /** Micro-batches of the rank that has the most; as many as there are here unless said otherwise. */
  rounds?: number;
}

export interface StepResult {
  /** Mean loss of the step's targets, in nats. */
  loss: number;
  /** Norm of all gradients before clipping. */
  gradNorm: number;
  /** Of all ranks together. */
  targets: number;
  tokens: number;
  /** `optimizer` counts the waiting for other ranks too; on a GPU, which is asked for all and then waited for, most of a step. */
  seconds: { forward: number; backward: number; optimizer: number };
}

/** Loss or gradients of a step are NaN or infinite; the weights are still those of the step before. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
  /** The first of this rank's micro-batches whose loss is not finite; undefined when only the gradients are not. */
  readonly microBatch: number | undefined;

  constructor(message: string, microBatch?: number) {
    super(message);
    this.microBatch = microBatch;
  }
}

/** What every trainer works with. */
export interface TrainerParts {
  model: TorchModel;
  updater: Updater;
  compute: ComputeWeights;
  ops: TorchOps;
  /** Starts the ops' dropout anew for a micro-batch of a step; `index` counts this rank's. */
  reseed?: (step: number, index: number) => void;
  clipNorm: number;
  /** The ranks that take the steps together; one unless given. */
  world?: World;
  /** Read between micro-batches; true abandons the step, on all ranks. */
  shouldStop?: () => boolean;
}

export type PassSeconds = Pick<StepResult["seconds"], "forward" | "backward">;

/** Takes steps, by gradients that the trainer of each kind of objective computes. */
export abstract class StepTrainer<B> {
  protected readonly parts: TrainerParts;
  #collected = 0;

  constructor(parts: TrainerParts) {
    this.parts = parts;
  }

  /**
   * Adds the gradients of the share's summed loss to the parameters and their copies; returns that sum, or undefined when
   * it was asked to stop. Times are added to `seconds`. Throws a NonFiniteError for a loss that is none.
   */
  protected abstract gradients(share: StepShare<B>, step: number, seconds: PassSeconds): Promise<number | undefined>;

  /** Between two micro-batches: adds up what the first has left. */
  protected collect(): Promise<void> | undefined {
    this.#collected++;
    return this.parts.updater.collect();
  }

  /**
   * Takes step `step` at learning rate `lr`; all ranks call it, each with its share, and all get the same result.
   * Undefined when one was asked to stop on the way: then nothing has changed. Throws a NonFiniteError before anything is
   * updated.
   */
  async step(share: StepShare<B>, { step, lr }: { step: number; lr: number }): Promise<StepResult | undefined> {
    const { updater, clipNorm } = this.parts;
    const seconds = { forward: 0, backward: 0, optimizer: 0 };
    try {
      const { sum, failure } = await this.#ownGradients(share, step, seconds);
      const start = performance.now();
      const own = [sum ?? 0, share.targets, share.tokens, sum === undefined ? 1 : 0, failure ? 1 : 0];
      const { sums, norm: normOfSum } = await updater.sum(own);
      const [loss, targets, tokens, stopping, failing] = sums as [number, number, number, number, number];
      if (failure) throw failure;
      if (failing > 0)
        throw new NonFiniteError("expected a finite loss, got another on another rank, whose error names it;");
      if (stopping > 0) return undefined;
      if (targets === 0) throw new Error(`step ${step + 1}: expected a token to predict, got special tokens only`);
      const norm = normOfSum / targets;
      if (!Number.isFinite(norm)) throw new NonFiniteError(`expected a finite gradient norm, got ${norm}`);
      await updater.update({ lr, gradScale: clipScale(norm, clipNorm) / targets });
      seconds.optimizer = (performance.now() - start) / 1000;
      return { loss: loss / targets, gradNorm: norm, targets, tokens, seconds };
    } finally {
      updater.zeroGrad();
    }
  }

  /** Gradients of one batch, for timing; they are dropped. Of one rank by itself. */
  async tryOut(microBatch: B): Promise<void> {
    try {
      await this.gradients({ microBatches: [microBatch], targets: 0, tokens: 0 }, 0, { forward: 0, backward: 0 });
    } finally {
      this.parts.updater.zeroGrad();
    }
  }

  /** NOTE: a rank that has failed or was told to stop takes part in the step's sums all the same: others wait for it there. */
  async #ownGradients(share: StepShare<B>, step: number, seconds: PassSeconds) {
    this.#collected = 0;
    let sum: number | undefined = 0;
    let failure: NonFiniteError | undefined;
    try {
      sum = await this.gradients(share, step, seconds);
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      failure = error;
    }
    const { rounds = share.microBatches.length } = share;
    while (this.#collected < rounds - 1) await this.collect();
    return { sum, failure };
  }
}

/** The trainer of an objective that is a sum over micro-batches, each by itself. */
export class Trainer<B> extends StepTrainer<B> {
  readonly #objective: Objective<B>;

  constructor({ objective, ...parts }: TrainerParts & { objective: Objective<B> }) {
    super(parts);
    this.#objective = objective;
  }

  protected async gradients(
    { microBatches, rounds = microBatches.length }: StepShare<B>,
    step: number,
    seconds: PassSeconds,
  ) {
    const { reseed, shouldStop } = this.parts;
    const late: Tensor[] = [];
    let sum = 0;
    const add = (loss: number, index: number) => {
      if (!Number.isFinite(loss)) throw new NonFiniteError(`expected a finite loss, got ${loss}`, index);
      sum += loss;
    };
    try {
      for (const [index, microBatch] of microBatches.entries()) {
        if (shouldStop?.()) return undefined;
        if (index > 0) await this.collect();
        reseed?.(step, index);
        const loss = this.#gradientsOf(microBatch, index === rounds - 1, seconds);
        if (typeof loss === "number") add(loss, index);
        else late.push(loss);
      }
      for (const [index, loss] of late.entries()) add(loss.item(), index);
      return sum;
    } finally {
      for (const loss of late) loss.dispose();
    }
  }

  /** The loss; of a GPU as a tensor, which is read when all of the step has been asked for: reading one waits for the GPU. */
  #gradientsOf(microBatch: B, isLast: boolean, seconds: PassSeconds): number | Tensor {
    const { compute, model, ops, updater } = this.parts;
    return tidy(() => {
      const start = performance.now();
      const loss = this.#objective(microBatch, { ops, weights: compute.weights });
      const sum = model.device === "cpu" ? loss.item() : loss.detach();
      const middle = performance.now();
      ops.backward(loss, (block) => updater.blockDone(block, isLast));
      seconds.forward += (middle - start) / 1000;
      seconds.backward += (performance.now() - middle) / 1000;
      return sum;
    });
  }
}
