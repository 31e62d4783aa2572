// The updater of one of several ranks. Gradients travel bucket by bucket, each as soon as the backward pass of the step's last
// micro-batch has left its blocks, while that pass goes on. They are summed in float32 and never averaged: the loop divides
// once, by the targets of all ranks. Without sharding every rank has all sums and takes the same step; with it each rank
// takes the step of the values that it owns, in whose optimizer state alone it has a part, and the new values are gathered: of a
// matrix that is computed with in bfloat16 the copy, so that the float32 masters are whole with their owners alone, until a
// checkpoint gathers them.

import {
  cat,
  empty,
  keep,
  noGrad,
  type Optimizer,
  type ProcessGroup,
  type Tensor,
  tidy,
  totalNorm,
  type Work,
} from "@neobert/torch";
import type { ComputeWeights } from "../../model/torch/torch-compute-weights.js";
import type { TorchModel } from "../../model/torch/torch-model.js";
import type { Sharding } from "../run-file/common-options.js";
import { type Bucket, bucketsOf, type Divide, type Piece } from "./buckets.js";
import { copyInto, type SavedTensor, savedTensors, type Updater } from "./updater.js";
import { gatherTexts, type World } from "./world.js";

export interface DistributedUpdaterParts {
  model: TorchModel;
  compute: ComputeWeights;
  world: World;
  group: ProcessGroup;
  sharding: Sharding;
  /** Makes the optimizer of the tensors that this rank updates. */
  makeOptimizer: (params: Tensor[]) => Optimizer;
  /** How parameters are divided between owners; in equal stretches unless given. */
  divide?: Divide | undefined;
}

/** What this rank updates: a parameter, or a stretch of one, with the same stretch of its copy. */
interface Owned {
  piece: Piece;
  weight: Tensor;
  copy: Tensor | undefined;
}

/** A bucket on its way. */
interface Sent {
  /** Without sharding: what this rank gives, and afterwards all sums. */
  flat?: Tensor;
  /** The sums that this rank owns. */
  own: Tensor;
  work: Work;
}

export class DistributedUpdater implements Updater {
  readonly #model: TorchModel;
  readonly #compute: ComputeWeights;
  readonly #world: World;
  readonly #group: ProcessGroup;
  readonly #sharding: Sharding;
  readonly #optimizer: Optimizer;
  readonly #buckets: Bucket[];
  /** Parameters whose copies are what the ranks have in common. */
  readonly #narrow: ReadonlySet<string>;
  /** By bucket. */
  readonly #owned: Owned[][];
  readonly #copies: ReadonlyMap<Tensor, Tensor>;
  /** Parameters with a gradient on this rank so far; on any rank, after the first sum. A step leaves the others alone. */
  readonly #seen = new Set<string>();
  #used: ReadonlySet<string> | undefined;
  #sent: Sent[] = [];
  /** Those of the micro-batch before, where gradients are sharded. */
  #late: Sent[] = [];
  /** By bucket: the sums that this rank owns, of all micro-batches so far. */
  #sums: Tensor[] = [];

  constructor({ model, compute, world, group, sharding, makeOptimizer, divide }: DistributedUpdaterParts) {
    this.#model = model;
    this.#compute = compute;
    this.#world = world;
    this.#group = group;
    this.#sharding = sharding;
    const isNormalized = model.specs.some(({ unitNormDim }) => unitNormDim !== undefined); // of all masters on each rank
    const parameters = [...model.weights].map(([name, weight]) => {
      const isNarrow = sharding !== "none" && !isNormalized && compute.weights(name).dtype === "bfloat16";
      return { name, count: countOf(weight.shape), isNarrow };
    });
    this.#narrow = new Set(parameters.flatMap(({ name, isNarrow }) => (isNarrow ? [name] : [])));
    this.#buckets = bucketsOf(parameters, world.size, sharding === "none" ? undefined : divide);
    this.#owned = this.#buckets.map((bucket) =>
      sharding === "none" ? piecesOf(bucket).map((piece) => this.#whole(piece)) : this.#stretches(bucket),
    );
    const all = this.#owned.flat();
    this.#copies = new Map(all.flatMap(({ weight, copy }) => (copy ? [[weight, copy]] : [])));
    this.#optimizer = makeOptimizer(all.map(({ weight }) => weight));
  }

  collect(): Promise<void> | undefined {
    if (this.#sharding === "gradients") return this.#endRound();
    this.#compute.collectGradients(false);
    return undefined;
  }

  blockDone(block: number, isLast: boolean): void {
    if (!isLast && this.#sharding !== "gradients") return;
    while (this.#sent.length < this.#buckets.length && this.#buckets[this.#sent.length]!.block > block) this.#send();
  }

  async sum(numbers: readonly number[]) {
    if (this.#sharding === "none") {
      this.#sendRest();
      for (const { work } of this.#sent) await work.wait();
    } else {
      await this.#endRound();
      await this.#add(this.#late);
      this.#late = [];
    }
    const own = this.#sharding === "none" ? this.#sent.map(({ own }) => own) : this.#sums;
    const square = totalNorm(own) ** 2;
    const names = this.#used ? [] : [...this.#model.weights.keys()];
    const flags = names.map((name) => (this.#seen.has(name) ? 1 : 0));
    const all = await this.#world.sum([...numbers, square, ...flags]);
    const counts = all.slice(numbers.length + 1);
    this.#used ??= new Set(names.filter((_, i) => counts[i]! > 0));
    return { sums: all.slice(0, numbers.length), norm: Math.sqrt(all[numbers.length]!) };
  }

  async update({ lr, gradScale }: { lr: number; gradScale: number }): Promise<void> {
    for (const group of this.#optimizer.groups) group.lr = lr;
    tidy(() => {
      for (const [i, owned] of this.#owned.entries()) {
        let offset = 0;
        for (const { piece, weight } of owned) {
          const sums = this.#sharding === "none" ? this.#sent[i]!.flat! : this.#sums[i]!;
          if (this.#used!.has(piece.name)) weight.grad = sums.narrow(0, offset, piece.count).view(...weight.shape);
          offset += piece.count;
        }
      }
      this.#optimizer.step({ gradScale, copies: this.#copies });
    });
    this.zeroGrad();
    if (this.#sharding !== "none") await this.#gather(({ isNarrow }) => (isNarrow ? "copy" : "weight"));
    if (this.#model.normalizeWeights()) this.#compute.refresh();
  }

  zeroGrad(): void {
    for (const { flat, own } of [...this.#sent, ...this.#late]) for (const tensor of [flat, own]) tensor?.dispose();
    for (const sums of this.#sums) sums.dispose();
    [this.#sent, this.#late, this.#sums] = [[], [], []];
    for (const weight of this.#model.weights.values()) weight.grad = undefined;
    this.#optimizer.zeroGrad();
    this.#compute.zeroGrad();
  }

  async state(): Promise<SavedTensor[]> {
    await this.#checkSame();
    await this.wholeWeights();
    if (this.#sharding === "none") return savedTensors(this.#model, this.#optimizer);
    const saved: SavedTensor[] = [];
    for (const owned of this.#owned) saved.push(...(await this.#gatherState(owned)));
    return saved;
  }

  async wholeWeights(): Promise<void> {
    if (this.#sharding !== "none") await this.#gather(({ isNarrow }) => (isNarrow ? "weight" : undefined));
  }

  load(read: (name: string) => Float32Array<ArrayBuffer>): void {
    for (const { piece, weight } of this.#owned.flat()) {
      for (const [part, tensor] of Object.entries(this.#optimizer.state(weight))) {
        const values = read(`${part}.${piece.name}`);
        const isStretch = this.#isStretch(piece, tensor.shape);
        copyInto(tensor, isStretch ? values.slice(piece.from, piece.from + piece.count) : values);
      }
    }
  }

  dispose(): void {
    this.#optimizer.dispose();
    if (this.#sharding === "none") return;
    for (const { weight, copy } of this.#owned.flat()) for (const tensor of [weight, copy]) tensor?.dispose();
  }

  /** Throws where a parameter's norm is not, to the bit, that on rank 0: ranks that drift apart train no one model. */
  async #checkSame(): Promise<void> {
    const { rank } = this.#world;
    const shared = [...this.#model.weights].map(([name, weight]) =>
      this.#narrow.has(name) ? this.#compute.weights(name) : weight,
    );
    const norms = shared.map((weight) => totalNorm([weight]));
    const first = await this.#world.sum(norms.map((norm) => (rank === 0 ? norm : 0)));
    const differ = await this.#world.sum(norms.map((norm, i) => (norm === first[i] ? 0 : 1)));
    const at = differ.findIndex((ranks) => ranks > 0);
    if (at < 0) return;
    throw new Error(
      `world: expected the same weights on all ranks, got others than rank 0's in ${[...this.#model.weights.keys()][at]} on ${differ[at]} of them\n` +
        "Give all ranks the same number of threads and the same kind of processor, or set sharding to optimizer or gradients, and resume.",
    );
  }

  #whole(piece: Piece): Owned {
    const weight = this.#model.weight(piece.name);
    return { piece, weight, copy: this.#compute.copies?.get(weight) };
  }

  #stretches({ owned }: Bucket): Owned[] {
    return owned[this.#world.rank]!.map((piece) => {
      const { weight, copy } = this.#whole(piece);
      const part = (tensor: Tensor) =>
        keep(tidy(() => (piece.count === countOf(tensor.shape) ? tensor.detach() : stretchOf(tensor, piece))));
      return { piece, weight: part(weight), copy: copy && part(copy) };
    });
  }

  /** Starts the next bucket: its gradients go into one tensor, and are dropped. */
  #send(): void {
    const bucket = this.#buckets[this.#sent.length]!;
    const { rank } = this.#world;
    this.#sent.push(
      tidy(() =>
        noGrad(() => {
          // Gradients of a micro-batch are in the copies' type already.
          const dtype = bucket.isNarrow && this.#sharding === "gradients" ? "bfloat16" : "float32";
          const flat = empty([bucket.count], { dtype });
          const pieces = piecesOf(bucket);
          for (const piece of pieces) this.#take(piece, flat.narrow(0, piece.offset, piece.count));
          for (const { name } of pieces) this.#drop(name);
          const shares = sharesOf(bucket, flat);
          if (this.#sharding === "none")
            return { flat: keep(flat), own: keep(shares[rank]!), work: this.#group.allReduce(flat) };
          const own = keep(empty(shares[rank]!.shape));
          return { own, work: this.#group.reduceScatter(own, shares) }; // `flat` lives until it has been sent
        }),
      ),
    );
  }

  /** Copies a piece's gradient into `to`: the parameter's, its copy's, or the sum of both. */
  #take({ name, from, count }: Piece, to: Tensor): void {
    const weight = this.#model.weight(name);
    const gradients = [weight.grad, this.#compute.copies?.get(weight)?.grad].flatMap((grad) => grad ?? []);
    const [first, second] = gradients.map((grad) => grad.flatten().narrow(0, from, count));
    if (!first) {
      to.zero_();
      return;
    }
    this.#seen.add(name);
    to.copy_(first);
    if (second) to.add_(second);
  }

  #drop(name: string): void {
    const weight = this.#model.weight(name);
    weight.grad = undefined;
    const copy = this.#compute.copies?.get(weight);
    if (copy) copy.grad = undefined;
  }

  #sendRest(): void {
    while (this.#sent.length < this.#buckets.length) this.#send();
  }

  /** Leaves a micro-batch's buckets on their way while the next one is computed; adds up those of the one before. */
  async #endRound(): Promise<void> {
    this.#sendRest();
    const before = this.#late;
    [this.#late, this.#sent] = [this.#sent, []];
    await this.#add(before);
  }

  /** Waits for the buckets of a micro-batch and adds what this rank owns of them. */
  async #add(sent: readonly Sent[]): Promise<void> {
    for (const { work } of sent) await work.wait();
    for (const [i, { own }] of sent.entries()) {
      const sums = this.#sums[i];
      if (!sums) {
        this.#sums[i] = own;
        continue;
      }
      tidy(() => noGrad(() => sums.add_(own)));
      own.dispose();
    }
  }

  /** Every rank gives its part of what it owns, and takes those of the others, of the buckets for which there is one. */
  async #gather(partOf: (bucket: Bucket) => "weight" | "copy" | undefined): Promise<void> {
    const gathered = this.#buckets.flatMap((bucket, i) => {
      const part = partOf(bucket);
      return part ? this.#startGather(bucket, this.#owned[i]!, part) : [];
    });
    for (const { bucket, part, flat, own, work } of gathered) {
      await work.wait();
      tidy(() =>
        noGrad(() => {
          for (const piece of bucket.owned.flatMap((pieces, rank) => (rank === this.#world.rank ? [] : pieces))) {
            const { weight, copy } = this.#whole(piece);
            const targets = bucket.isNarrow ? [part === "copy" ? copy : weight] : [weight, copy];
            const values = flat.narrow(0, piece.offset, piece.count);
            for (const target of targets) if (target) stretchOf(target, piece).copy_(values);
          }
        }),
      );
      flat.dispose();
      own.dispose();
    }
  }

  #startGather(bucket: Bucket, owned: readonly Owned[], part: "weight" | "copy") {
    return tidy(() => {
      const dtype = part === "copy" ? "bfloat16" : "float32";
      const own = keep(
        valuesOf(
          owned.map((one) => one[part]!),
          dtype,
        ),
      );
      const flat = keep(empty([bucket.count], { dtype }));
      return { bucket, part, flat, own, work: this.#group.allGather(sharesOf(bucket, flat), own) };
    });
  }

  /** The whole state of a bucket's parameters, on rank 0. */
  async #gatherState(owned: Owned[]): Promise<SavedTensor[]> {
    const isRoot = this.#world.rank === 0;
    const states = owned.flatMap(({ piece, weight }) =>
      Object.entries(this.#optimizer.state(weight)).map(([part, tensor]) => ({ part, tensor, piece })),
    );
    const listed = states.map(({ part, tensor, piece }): StatePiece => ({ part, shape: [...tensor.shape], piece }));
    const lists = (await gatherTexts(this.#group, JSON.stringify(listed))).map(
      (text) => JSON.parse(text) as StatePiece[],
    );
    const own = tidy(() => valuesOf(states.map(({ tensor }) => tensor)));
    const none = empty([0]);
    const outputs = lists.map((list) => empty([isRoot ? list.reduce((sum, { shape }) => sum + countOf(shape), 0) : 0]));
    try {
      await this.#group
        .allToAll(
          outputs,
          lists.map((_, rank) => (rank === 0 ? own : none)),
        )
        .wait();
      const values = outputs.map((output) => output.toTypedArray() as Float32Array<ArrayBuffer>);
      return isRoot ? this.#assemble(lists, values) : [];
    } finally {
      for (const tensor of [own, none, ...outputs]) tensor.dispose();
    }
  }

  /** The state out of what each rank gave: stretches put in their places; what is of a parameter as a whole, once. */
  #assemble(lists: readonly StatePiece[][], given: readonly Float32Array<ArrayBuffer>[]): SavedTensor[] {
    const whole = new Map<string, { shape: readonly number[]; values: Float32Array<ArrayBuffer> }>();
    for (const [rank, list] of lists.entries()) {
      let at = 0;
      for (const { part, shape, piece } of list) {
        const values = given[rank]!.slice(at, (at += countOf(shape)));
        const name = `${part}.${piece.name}`;
        if (!this.#isStretch(piece, shape)) whole.set(name, { shape, values });
        else {
          const full = this.#model.weight(piece.name).shape;
          if (!whole.has(name)) whole.set(name, { shape: full, values: new Float32Array(countOf(full)) });
          whole.get(name)!.values.set(values, piece.from);
        }
      }
    }
    return [...whole].map(([name, { shape, values }]) => ({ name, shape, data: () => values }));
  }

  /** Whether a tensor of a piece's state is a stretch of the parameter's, as the piece is. */
  #isStretch({ name, count }: Piece, shape: readonly number[]): boolean {
    return count < countOf(this.#model.weight(name).shape) && shape.length === 1 && shape[0] === count;
  }
}

/** A tensor of a piece's state. */
interface StatePiece {
  part: string;
  shape: number[];
  piece: Piece;
}

const countOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const total = (pieces: readonly Piece[]) => pieces.reduce((sum, { count }) => sum + count, 0);

/** The pieces of all ranks, those of one parameter that follow each other in one. */
function piecesOf({ owned }: Bucket): Piece[] {
  const pieces: Piece[] = [];
  for (const piece of owned.flat()) {
    const last = pieces.at(-1);
    if (last?.name === piece.name && last.from + last.count === piece.from) last.count += piece.count;
    else pieces.push({ ...piece });
  }
  return pieces;
}

/** A view of a piece's values in a tensor of the parameter's shape. */
function stretchOf(tensor: Tensor, { from, count }: Piece): Tensor {
  return tensor.detach().flatten().narrow(0, from, count);
}

/** All values of the given tensors, which are of this type. */
function valuesOf(tensors: readonly Tensor[], dtype: "float32" | "bfloat16" = "float32"): Tensor {
  return tensors.length === 0 ? empty([0], { dtype }) : cat(tensors.map((tensor) => tensor.detach().flatten()));
}

/** Views of what each rank owns of a bucket's values. */
function sharesOf({ owned }: Bucket, flat: Tensor): Tensor[] {
  let at = 0;
  return owned.map((pieces) => {
    const count = total(pieces);
    at += count;
    return flat.narrow(0, at - count, count);
  });
}
