// The gradients of a contrastive step, whose loss looks at all its texts at once, in bounded memory (GradCache, Gao et al.
// 2021, arXiv 2101.06983): the vectors of every part without a graph, the loss and its gradient for each vector, then each
// part once more with a graph, to carry that gradient on. The last part keeps the graph of its first pass, so a step that
// fits in one part runs forward once, and of k parts k - 1 run twice. Dropout is replayed, so both passes drop the same.
// Of several ranks each computes some of the parts, and all compute the loss, of the vectors of all.

import { cat, fromTypedArray, noGrad, type Tensor, TidyScope, tidy } from "@neobert/torch";
import type { ForwardOptions, TorchModel } from "../../model/torch/torch-model.js";
import { NonFiniteError, type PassSeconds, type StepShare, StepTrainer, type TrainerParts } from "../loop/step.js";
import { alone } from "../world/world.js";
import { gatherVectors, inOrder, partsOfRank } from "./gather.js";
import { type ContrastOptions, contrastiveLoss } from "./loss.js";
import type { PairBatch, PairPart } from "./pair-batches.js";

export type Pooling = "mean" | "cls";

/** Texts whose means are made by one product. */
const TEXTS_A_PRODUCT = 16;

/** The vectors [B, C] of a part's texts, float32: the first token's, or the mean of the tokens after `skip`. */
export function pooledVectors(model: TorchModel, part: PairPart, pooling: Pooling, run: ForwardOptions): Tensor {
  if (pooling === "cls") return model.hidden(part, { ...run, rows: "first" }).to("float32");
  const hidden = model.hidden(part, run).to("float32"); // [N, C]
  const { cuSeqlens, skip } = part;
  const B = skip.length;
  const starts = Array.from({ length: Math.ceil(B / TEXTS_A_PRODUCT) }, (_, group) => group * TEXTS_A_PRODUCT);
  const ends = starts.map((start) => Math.min(B, start + TEXTS_A_PRODUCT));
  const sizes = starts.map((start, group) => cuSeqlens[ends[group]!]! - cuSeqlens[start]!);
  const means = hidden.split(sizes).map((tokens, group) => {
    const [first, end, N] = [starts[group]!, ends[group]!, sizes[group]!];
    const shares = new Float32Array((end - first) * N);
    for (let text = first; text < end; text++) {
      const [from, to] = [cuSeqlens[text]! + skip[text]!, cuSeqlens[text + 1]!].map((at) => at - cuSeqlens[first]!);
      const row = (text - first) * N;
      shares.fill(1 / (to! - from!), row + from!, row + to!);
    }
    return fromTypedArray(shares, { shape: [end - first, N], device: model.device }).matmul(tokens);
  });
  return means.length === 1 ? means[0]! : cat(means);
}

/** Loss (a sum over the queries) of a batch whose parts' vectors are given. */
export function batchLoss(batch: PairBatch, vectors: readonly Tensor[], options: ContrastOptions): Tensor {
  const all = vectors.length === 1 ? vectors[0]! : cat(vectors); // [Q + M, C]
  const queries = all.narrow(0, 0, batch.queries);
  return contrastiveLoss(queries, all.narrow(0, batch.queries, batch.documents), batch, options);
}

export interface ContrastiveOptions extends ContrastOptions {
  pooling: Pooling;
}

export class ContrastiveTrainer extends StepTrainer<PairBatch> {
  readonly #options: ContrastiveOptions;

  constructor(parts: TrainerParts, options: ContrastiveOptions) {
    super(parts);
    this.#options = options;
  }

  protected async gradients({ microBatches }: StepShare<PairBatch>, step: number, seconds: PassSeconds) {
    const { compute } = this.parts;
    let sum = 0;
    for (const [index, batch] of microBatches.entries()) {
      if (index > 0) compute.collectGradients(false);
      const loss = await this.#gradientsOf(batch, step, seconds);
      if (loss === undefined) return undefined;
      sum += loss;
    }
    return sum;
  }

  async #gradientsOf(batch: PairBatch, step: number, seconds: PassSeconds): Promise<number | undefined> {
    const { ops, compute, reseed, shouldStop, world = alone } = this.parts;
    const clock = stopwatch(seconds);
    const own = partsOfRank(batch, world);
    const vectors: Tensor[] = [];
    const scope = new TidyScope(); // of the last part's graph
    let gathered: Tensor[] = [];
    const shouldBreak = () => world.size === 1 && shouldStop?.(); // several ranks stop at the step's end, together
    try {
      for (const [index, part] of own.entries()) {
        if (shouldBreak()) return undefined;
        reseed?.(step, index);
        if (index === own.length - 1) vectors.push(scope.run(() => this.#vectors(part)));
        else vectors.push(tidy(() => noGrad(() => this.#vectors(part))).requiresGrad_());
      }
      gathered = await gatherVectors(batch, world, vectors, this.parts.model.config.hidden_size);
      const sum = tidy(() => {
        const loss = batchLoss(batch, inOrder(batch, world, vectors, gathered), this.#options);
        const value = loss.item();
        clock("forward");
        if (Number.isFinite(value) && vectors.length > 0) ops.backward(loss);
        return value;
      });
      if (!Number.isFinite(sum)) throw new NonFiniteError(`expected a finite loss, got ${sum}`);
      clock("backward");
      for (const [index, part] of own.slice(0, -1).entries()) {
        if (shouldBreak()) return undefined;
        compute.collectGradients(false);
        reseed?.(step, index);
        tidy(() => {
          const again = this.#vectors(part);
          clock("forward");
          ops.backward(again.mul(vectors[index]!.grad!).sum());
        });
        clock("backward");
      }
      if (world.size > 1 && shouldStop?.()) return undefined;
      return world.rank === 0 ? sum : 0; // every rank has the loss of the whole batch
    } finally {
      for (const tensor of [...vectors, ...gathered]) tensor.dispose();
      scope.dispose();
    }
  }

  #vectors(part: PairPart): Tensor {
    const { model, ops, compute } = this.parts;
    return pooledVectors(model, part, this.#options.pooling, { ops, weights: compute.weights });
  }
}

/** A function that adds the time since it was last called to a part of a step's seconds. */
function stopwatch(seconds: PassSeconds): (spent: keyof PassSeconds) => void {
  let last = performance.now();
  return (spent) => {
    const now = performance.now();
    seconds[spent] += (now - last) / 1000;
    last = now;
  };
}
