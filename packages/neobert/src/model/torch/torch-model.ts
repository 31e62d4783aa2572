// A model on libtorch: its config, its parameters as float32 master weights that want gradients, and what is asked of
// it: the masked-language-model loss, logits, hidden states, class logits. The training loop may hand in other
// tensors for the same names (bfloat16 copies of the matrices) and its own ops (dropout, recomputed blocks).

import { type Device, fromTypedArray, keep, noGrad, type Tensor, tidy } from "@neobert/torch";
import type { Head, ParameterSpec } from "../architecture.js";
import { architectureOf, type ModelArchitecture, type ModelConfig } from "../architectures.js";
import { initialValues } from "../init.js";
import { type OpenOptions, openModel, saveModel } from "../model-folder.js";
import type { Batch, Ops, RowChoice, Weights } from "../ops.js";
import { checkBatch, expectHead, type PackedBatch } from "../packed-batch.js";
import { type TorchBatch, TorchOps } from "./torch-ops.js";

export type { PackedBatch };

/** A packed batch with the rows that were masked [M] and the ids that stood there [M]. */
export interface MaskedBatch extends PackedBatch {
  maskedRows: Int32Array;
  labels: Int32Array;
}

export interface ForwardOptions<T = Tensor> {
  /** Ops with dropout or recomputed blocks, or other values than tensors; plain `TorchOps` by default. */
  ops?: Ops<T>;
  /** What to compute with for each name; the master weights by default. */
  weights?: Weights<T>;
}

export interface CreateOptions {
  head?: Head;
  /** Seed of fresh parameters. */
  seed?: number;
  device?: Device;
}

export interface TorchLoadOptions extends OpenOptions {
  device?: Device;
  /** Parameters that are not read, by their published names: they come from elsewhere. Tied tables are read all the same. */
  without?: ReadonlySet<string>;
}

/** Call `loss`, `logits` and the like inside `tidy`, which frees what they leave behind. */
export class TorchModel {
  readonly architecture: ModelArchitecture;
  readonly config: ModelConfig;
  readonly head: Head;
  readonly device: Device;
  readonly specs: ParameterSpec[];
  /** Published name -> master weight, in the order of `specs`. */
  readonly weights: Map<string, Tensor>;

  private constructor(
    architecture: ModelArchitecture,
    head: Head,
    device: Device,
    values: (spec: ParameterSpec) => Float32Array,
    without?: ReadonlySet<string>,
  ) {
    this.architecture = architecture;
    this.config = architecture.config;
    this.head = head;
    this.device = device;
    this.specs = architecture.parameters(head);
    this.weights = new Map(
      this.specs.flatMap((spec) => {
        const { name, shape, tied } = spec;
        if (without?.has(name) && !tied) return [];
        return [[name, keep(fromTypedArray(values(spec), { shape, device, requiresGrad: true }))]];
      }),
    );
  }

  /** A fresh model of a config (a parsed config.json); masked language modelling on the CPU unless told otherwise. */
  static create(config: unknown, { head = "maskedLM", seed = 0, device = "cpu" }: CreateOptions = {}): TorchModel {
    const model = new TorchModel(architectureOf(config), head, device, (spec) => initialValues(spec, seed));
    model.normalizeWeights();
    return model;
  }

  /**
   * Loads a Hugging Face folder; the head is the one its config names unless another is asked for.
   * Throws one error that lists every missing and unexpected tensor.
   */
  static load(folder: string, options: TorchLoadOptions = {}): TorchModel {
    const { device = "cpu", without, ...opening } = options;
    const source = openModel(folder, opening);
    try {
      return new TorchModel(source.architecture, source.head, device, ({ name }) => source.values(name), without);
    } finally {
      source.close();
    }
  }

  /** Writes `config.json` and `model.safetensors` (float32) into `folder`, made if need be. */
  save(folder: string, write?: Parameters<typeof saveModel>[2]): void {
    const values = (name: string) => tidy(() => this.weight(name).detach().toTypedArray()) as Float32Array;
    saveModel(folder, { architecture: this.architecture, head: this.head, values }, write);
  }

  weight(name: string): Tensor {
    const weight = this.weights.get(name);
    if (!weight) throw new Error(`internal: no parameter ${name} in ${this.architecture.classNames[this.head]}`);
    return weight;
  }

  /** Sum over the masked rows of the cross entropy, a float32 scalar with a graph, and their count. */
  loss(batch: MaskedBatch, run: ForwardOptions = {}): { sum: Tensor; count: number } {
    expectHead("loss", this, "maskedLM");
    const { ops, weights } = this.#run(run);
    const hidden = this.#forward("loss", batch, run, this.#rows(batch.maskedRows)); // [M, C]
    const labels = fromTypedArray(batch.labels, { device: this.device }).to("int64");
    return { sum: this.architecture.maskedLoss(ops, weights, hidden, labels), count: batch.labels.length };
  }

  /** Masked-language-model logits [M, V] of some rows of the batch. */
  logits<T = Tensor>(batch: PackedBatch, rows: Int32Array, run: ForwardOptions<T> = {}): T {
    expectHead("logits", this, "maskedLM");
    const { ops, weights } = this.#run(run);
    const hidden = this.#forward("logits", batch, run, this.#rows(rows)); // [M, C]
    return this.architecture.maskedLogits(ops, weights, hidden);
  }

  /** Last hidden state [N, C], or of each sequence's first token only, [B, C]. */
  hidden<T = Tensor>(batch: PackedBatch, { rows, ...run }: ForwardOptions<T> & { rows?: "first" } = {}): T {
    return this.#forward("hidden", batch, run, rows);
  }

  /** Class logits [B, number of labels] of the sequences. */
  sequenceLogits<T = Tensor>(batch: PackedBatch, run: ForwardOptions<T> = {}): T {
    expectHead("sequenceLogits", this, "sequenceClassification");
    const { ops, weights } = this.#run(run);
    return this.architecture.sequenceLogits(ops, weights, this.#batch<T>("sequenceLogits", batch));
  }

  /** Class logits [N, number of labels] of the tokens, or [N, 2] of an answer's start and end. */
  tokenLogits<T = Tensor>(batch: PackedBatch, run: ForwardOptions<T> = {}): T {
    const head = expectHead("tokenLogits", this, "tokenClassification", "questionAnswering");
    const { ops, weights } = this.#run(run);
    return this.architecture.tokenLogits(ops, weights, this.#forward("tokenLogits", batch, run), head);
  }

  /**
   * Brings the matrices of a normalised (nGPT) model back to unit norm along the hidden dimension, in place, as its
   * paper does after each optimizer step. Nothing happens to other models: then it returns false.
   */
  normalizeWeights(): boolean {
    const normalized = this.specs.filter(({ unitNormDim }) => unitNormDim !== undefined);
    tidy(() =>
      noGrad(() => {
        for (const { name, unitNormDim } of normalized) {
          const weight = this.weight(name);
          weight.div_(weight.norm(2, unitNormDim, true).clamp(1e-12));
        }
      }),
    );
    return normalized.length > 0;
  }

  /** Frees these parameters, but for tied tables, which are looked up in too: the model can no longer compute without what took their place. */
  release(names: Iterable<string>): void {
    const tied = new Set(this.specs.flatMap(({ name, tied }) => (tied ? [name] : [])));
    for (const name of names) {
      if (tied.has(name)) continue;
      this.weight(name).dispose();
      this.weights.delete(name);
    }
  }

  dispose(): void {
    for (const weight of this.weights.values()) weight.dispose();
  }

  /** NOTE: without ops of its own `T` is a tensor. */
  #run<T>({ ops, weights }: ForwardOptions<T>): Required<ForwardOptions<T>> {
    const plain = { ops: new TorchOps(), weights: (name: string) => this.weight(name) } as ForwardOptions<unknown>;
    return { ops: ops ?? plain.ops, weights: weights ?? plain.weights } as Required<ForwardOptions<T>>;
  }

  #rows(rows: Int32Array): Tensor {
    return fromTypedArray(rows, { device: this.device });
  }

  #forward<T>(where: string, batch: PackedBatch, run: ForwardOptions<T>, rows?: RowChoice<Tensor>): T {
    const { ops, weights } = this.#run(run);
    const chosen = rows ? { rows: rows as RowChoice<T> } : {};
    return this.architecture.forward(ops, weights, this.#batch<T>(where, batch), chosen);
  }

  /** NOTE: of tensors whatever `T` is: ops of other values take tensors too. */
  #batch<T>(where: string, packed: PackedBatch): Batch<T> {
    checkBatch(where, this, packed);
    const { ids, cuSeqlens, tokenTypes } = packed;
    const batch: TorchBatch = { ids: fromTypedArray(ids, { device: this.device }), cuSeqlens: [...cuSeqlens] };
    const hasTypes = tokenTypes && this.architecture.segments() > 1;
    return {
      ...batch,
      ...(hasTypes && { tokenTypes: fromTypedArray(tokenTypes, { device: this.device }) }),
    } as Batch<unknown> as Batch<T>;
  }
}
