// The encoders' vocabulary on libtorch: each op computes at once and is differentiable. Batches are packed. Matrices
// may be bfloat16: a linear layer casts its input to the weight's dtype, as autocast does, while norms, rotary
// angles, the residual stream and losses stay float32. Needs the addon: import this file only where it is there.

import {
  addNorm,
  type DType,
  dropout,
  embedding,
  fromTypedArray,
  type GatedUnitOrigin,
  type Generator,
  gatedLinear,
  gatedUnit,
  linear,
  linearCrossEntropy,
  noGrad,
  norm,
  packedAttention,
  rotary,
  segmentMean,
  splitQkv,
  stack,
  type Tensor,
  tidy,
  zeros,
} from "@neobert/torch";
import type {
  Batch,
  Norm,
  Ops,
  Qkv,
  QkvProjection,
  RotaryAngles,
  RotaryScaling,
  RowChoice,
  SplitOptions,
} from "../ops.js";

/** Sequences one after another: ids [N], and the N at which each begins and the last ends: cuSeqlens [B + 1]. */
export interface TorchBatch extends Batch<Tensor> {
  cuSeqlens: number[];
}

export interface TorchOpsOptions {
  /** Where dropout draws from; without one there is no dropout. */
  generator?: Generator;
  /** Keep only the blocks' inputs and compute each block again on the way back: slower, and far less memory. */
  checkpoint?: boolean;
  /** Go back block by block, so that `backward` can say when each block's gradients are whole. */
  byBlock?: boolean;
}

/** A block that the way back comes to by itself: its state before it, and the leaves that took its place. */
interface Border {
  state: Tensor[];
  inputs: Tensor[];
}

interface CheckpointedBlock {
  fn: (...state: Tensor[]) => Tensor[];
  state: Tensor[];
  outputs: Tensor[];
  randomState: Uint8Array | undefined;
}

/**
 * One forward pass, and one backward where a loss comes of it; cheap to make anew. Call its ops, and what uses them,
 * inside `tidy`: all but a block's own values live until that ends.
 */
export class TorchOps implements Ops<Tensor> {
  readonly #generator: Generator | undefined;
  readonly #checkpoint: boolean;
  readonly #byBlock: boolean;
  #blocks: CheckpointedBlock[] = [];
  #borders: Border[] = [];
  /** Gated units and what they were made of, for the linear layer that follows. */
  readonly #units = new WeakMap<Tensor, GatedUnitOrigin>();

  constructor({ generator, checkpoint = false, byBlock = false }: TorchOpsOptions = {}) {
    this.#generator = generator;
    this.#checkpoint = checkpoint;
    this.#byBlock = byBlock;
  }

  embedding(weight: Tensor, indices: Tensor): Tensor {
    return embedding(indices, weight);
  }

  positions({ cuSeqlens, ids }: TorchBatch, first: number): Tensor {
    const positions = new Int32Array(cuSeqlens.at(-1)!);
    for (const [i, start] of cuSeqlens.slice(0, -1).entries()) {
      for (let row = start; row < cuSeqlens[i + 1]!; row++) positions[row] = row - start + first;
    }
    return fromTypedArray(positions, { device: ids.device });
  }

  rotaryAngles(positions: Tensor, headWidth: number, theta: number): RotaryAngles<Tensor> {
    const frequencies = fromTypedArray(frequenciesOf(theta, headWidth), { device: positions.device });
    const angles = positions.to("float32").unsqueeze(-1).mul(frequencies); // [N] -> [N, D/2]
    return { cos: angles.cos(), sin: angles.sin() };
  }

  scaledRotaryAngles(batch: TorchBatch, headWidth: number, theta: number, scaling: RotaryScaling) {
    const { cuSeqlens, ids } = batch;
    const { factor, trainedTokens } = scaling;
    const longest = cuSeqlens.reduce((longest, end, i) => Math.max(longest, end - (cuSeqlens[i - 1] ?? 0)), 0);
    if (longest <= trainedTokens) return this.rotaryAngles(this.positions(batch, 0), headWidth, theta);
    const D = headWidth / 2;
    const values = new Float32Array(ids.shape[0]! * D);
    for (const [i, start] of cuSeqlens.slice(0, -1).entries()) {
      const length = cuSeqlens[i + 1]! - start;
      const growth = Math.max(1, (factor * length) / trainedTokens - (factor - 1));
      const frequencies = frequenciesOf(
        headWidth > 2 ? theta * growth ** (headWidth / (headWidth - 2)) : theta,
        headWidth,
      );
      for (let at = 0; at < length * D; at++) values[start * D + at] = Math.floor(at / D) * frequencies[at % D]!;
    }
    const angles = fromTypedArray(values, { device: ids.device }).reshape(-1, D); // [N, D/2]
    return { cos: angles.cos(), sin: angles.sin() };
  }

  tokenTypes({ ids, tokenTypes }: TorchBatch): Tensor {
    return tokenTypes ?? zeros(ids.shape, { dtype: "int32", device: ids.device });
  }

  linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const { dtype } = weight;
    const origin = this.#units.get(x);
    if (origin?.x.dtype === dtype && !bias) return gatedLinear(x, origin, weight);
    return linear(cast(x, dtype), weight, bias && cast(bias, dtype));
  }

  norm(x: Tensor, options: Norm<Tensor>): Tensor {
    return norm(x, options);
  }

  addNorm(x: Tensor, y: Tensor, options: Norm<Tensor>): [Tensor, Tensor] {
    return addNorm(x, y, options);
  }

  gatedUnit(x: Tensor, gate: "first" | "last", activation: "silu" | "gelu" = "silu"): Tensor {
    const unit = gatedUnit(x, gate, activation);
    this.#units.set(unit, { x, gate, activation });
    return unit;
  }

  silu(x: Tensor): Tensor {
    return x.silu();
  }

  gelu(x: Tensor): Tensor {
    return x.gelu();
  }

  tanh(x: Tensor): Tensor {
    return x.tanh();
  }

  abs(x: Tensor): Tensor {
    return x.abs();
  }

  add(x: Tensor, y: Tensor): Tensor {
    return x.add(y);
  }

  multiply(x: Tensor, factor: Tensor | number): Tensor {
    return x.mul(factor);
  }

  l2Normalize(x: Tensor): Tensor {
    const wide = cast(x, "float32");
    return wide.div(wide.norm(2, -1, true).clamp(1e-12));
  }

  dropout(x: Tensor, p: number): Tensor {
    return this.#generator && p > 0 ? dropout(x, p, this.#generator) : x;
  }

  splitHeads(x: Tensor, heads: number): Tensor {
    return x.reshape(...x.shape.slice(0, -1), heads, x.shape.at(-1)! / heads);
  }

  splitQkv(projection: QkvProjection<Tensor>, options: SplitOptions<Tensor>): Qkv<Tensor> {
    const { heads, kvHeads = heads, rotary: angles } = options;
    if (projection.layout === "separate") {
      const q = this.splitHeads(projection.q, heads);
      const [k, v] = [this.splitHeads(projection.k, kvHeads), this.splitHeads(projection.v, kvHeads)];
      return angles ? { q: rotary(q, angles), k: rotary(k, angles), v } : { q, k, v };
    }
    const { layout, qkv } = projection;
    const [q, k, v] = splitQkv(qkv, { layout, heads, kvHeads, ...(angles && { rotary: angles }) });
    return { q, k, v };
  }

  attention({ q, k, v }: Qkv<Tensor>, { cuSeqlens }: TorchBatch, scale: number, window?: number, dropout = 0): Tensor {
    const output = packedAttention(cast(q, v.dtype), cast(k, v.dtype), v, cuSeqlens, {
      scale,
      ...(window !== undefined && { window }),
      ...(this.#generator && dropout > 0 && { dropout: { p: dropout, generator: this.#generator } }),
    });
    return output.flatten(-2); // [N, H, D] -> [N, C]
  }

  gatherRows(x: Tensor, rows: RowChoice<Tensor>, { cuSeqlens }: TorchBatch): Tensor {
    const { device } = x;
    return x.indexSelect(
      0,
      rows === "first" ? fromTypedArray(Int32Array.from(cuSeqlens.slice(0, -1)), { device }) : rows,
    );
  }

  pool(x: Tensor, batch: TorchBatch, how: "cls" | "mean"): Tensor {
    if (how === "cls") return this.gatherRows(x, "first", batch);
    if (x.device !== "cpu") return segmentMean(x, batch.cuSeqlens); // in one launch, however many texts
    const means = batch.cuSeqlens.slice(0, -1).map((start, i) => {
      return x.narrow(0, start, batch.cuSeqlens[i + 1]! - start).mean(0); // [T, C] -> [C]
    });
    return stack(means, 0);
  }

  linearCrossEntropy(x: Tensor, weight: Tensor, bias: Tensor | undefined, labels: Tensor): Tensor {
    return linearCrossEntropy(x, weight, bias, labels);
  }

  block(fn: (...state: Tensor[]) => Tensor[], ...state: Tensor[]): Tensor[] {
    const wanted = state.some(({ requiresGrad }) => requiresGrad);
    if (this.#byBlock && !this.#checkpoint && wanted) {
      const inputs = state.map((input) => (input.requiresGrad ? input.detach().requiresGrad_() : input));
      this.#borders.push({ state, inputs });
      return tidy(() => fn(...inputs));
    }
    if (!this.#checkpoint || !wanted) {
      const outputs = tidy(() => fn(...state));
      for (const input of state) if (!outputs.includes(input)) input.dispose(); // autograd keeps what it needs of it
      return outputs;
    }
    const randomState = this.#generator?.getState();
    const outputs = tidy(() => noGrad(() => fn(...state)).map((output) => output.detach().requiresGrad_()));
    this.#blocks.push({ fn, state, outputs, randomState });
    return outputs;
  }

  /**
   * Backward from a loss that these ops computed: `loss.backward()`, then, with `checkpoint`, each block again from
   * the last to the first, with the dropout it had. Gradients are added to the parameters' `grad`. With `byBlock` or
   * `checkpoint`, `blockDone` is called when each block, by its number, has been gone through.
   */
  backward(loss: Tensor, blockDone: (block: number) => void = () => {}): void {
    loss.backward();
    for (let block = this.#borders.length - 1; block >= 0; block--) {
      blockDone(block);
      const { state, inputs } = this.#borders[block]!;
      tidy(() => backwardThrough(state, inputs));
    }
    this.#borders = [];
    let block = this.#blocks.length;
    const randomState = this.#generator?.getState();
    for (const { fn, state, outputs, randomState: before } of this.#blocks.reverse()) {
      tidy(() => {
        if (before) this.#generator!.setState(before);
        const inputs = state.map((input) => input.detach().requiresGrad_());
        backwardThrough(fn(...inputs), outputs);
        backwardThrough(state, inputs);
        for (const output of outputs) {
          output.grad = undefined;
          output.dispose();
        }
      });
      blockDone(--block);
    }
    this.#blocks = [];
    if (randomState) this.#generator!.setState(randomState);
  }
}

/** Backward from `tensors`, whose gradients stand in `grad` of the leaves that took their place. */
function backwardThrough(tensors: Tensor[], leaves: Tensor[]): void {
  const reached = tensors.flatMap((tensor, i) => {
    const gradient = leaves[i]!.grad;
    return gradient && tensor.requiresGrad ? [{ tensor, gradient }] : [];
  });
  const [first] = reached;
  if (reached.length === 1) first!.tensor.backward(first!.gradient);
  else if (first)
    stack(
      reached.map(({ tensor, gradient }) => tensor.mul(gradient).sum()),
      0,
    )
      .sum()
      .backward();
}

function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : x.to(dtype);
}

/** theta^(-2j/D) in the float32 steps of the published code: exponent, power, reciprocal. */
function frequenciesOf(theta: number, headWidth: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: headWidth / 2 },
    (_, j) => 1 / Math.fround(theta ** Math.fround((2 * j) / headWidth)),
  );
}
