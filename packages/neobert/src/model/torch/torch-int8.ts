// A model's matrices in int8: which of them, with what smoothing, and the file that keeps them. All that a linear layer reads is
// measured on a few texts; a layer stays float only where the texts' vectors would otherwise turn too far.

import { fromTypedArray, Int8Weight, int8Linears, keep, noGrad, type Tensor, tidy } from "@neobert/torch";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../files/safetensors.js";
import type { Weights } from "../ops.js";
import type { PackedBatch } from "../packed-batch.js";
import { Int8Ops, type Int8Value } from "./torch-int8-ops.js";
import type { TorchModel } from "./torch-model.js";
import { TorchOps } from "./torch-ops.js";

/** Mean cosine of the texts' vectors with float32's below which layers are kept float. */
export const LEAST_COSINE = 0.998;

/** Share of the layers that the next try keeps float. */
const KEPT_SHARE = 0.08;

/** Weights whose input is one tensor, and the largest absolute value that each channel [I] of it takes. */
interface Reading {
  names: string[];
  largest: Float32Array;
}

/** The float32 model, recording what its linear layers read. */
class ReadingOps extends TorchOps {
  readonly readings = new Map<Tensor, Reading>();
  readonly #names: Map<Tensor, string>;

  constructor({ weights }: TorchModel) {
    super();
    this.#names = new Map([...weights].map(([name, weight]) => [weight, name]));
  }

  override linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const name = this.#names.get(weight);
    if (name !== undefined) {
      const largest = () => tidy(() => x.reshape(-1, x.shape.at(-1)!).abs().amax(0).toTypedArray()) as Float32Array;
      const reading = this.readings.get(x) ?? { names: [], largest: largest() };
      reading.names.push(name);
      this.readings.set(x, reading);
    }
    return super.linear(x, weight, bias);
  }
}

/** The float32 model, measuring how far each int8 layer's result is from its own. */
class ErrorOps extends TorchOps {
  readonly errors = new Map<string, number>();
  readonly #int8: Map<Tensor, [name: string, weight: Int8Weight]>;

  constructor(model: TorchModel, weights: ReadonlyMap<string, Int8Weight>) {
    super();
    this.#int8 = new Map([...weights].map(([name, weight]) => [model.weight(name), [name, weight]]));
  }

  override linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const y = super.linear(x, weight, bias);
    const [name, int8] = this.#int8.get(weight) ?? [];
    if (name !== undefined && int8) {
      const error = tidy(() => {
        const plain = { activation: "none", gate: "none" } as const;
        const [approximate] = int8Linears(x, [{ weight: int8, bias }], plain, "float32");
        return approximate!.sub(y).norm().item() / y.norm().item();
      });
      this.errors.set(name, error);
    }
    return y;
  }
}

/** What a model computes with in int8. */
export class Int8Weights {
  readonly #int8: ReadonlyMap<string, Int8Weight>;
  /** Names of the layers that stay float. */
  readonly kept: readonly string[];
  /** Mean cosine of the calibration texts' vectors (means over their tokens) with float32's. */
  readonly cosine: number;

  private constructor(int8: ReadonlyMap<string, Int8Weight>, kept: readonly string[], cosine: number) {
    this.#int8 = int8;
    this.kept = kept;
    this.cosine = cosine;
  }

  /** Packs the matrices that `model` multiplies the tokens of `batch` with, as many as its vectors allow. */
  static quantize(model: TorchModel, batch: PackedBatch, leastCosine = LEAST_COSINE): Int8Weights {
    const reading = new ReadingOps(model);
    const expected = tidy(() => noGrad(() => meanVectors(model.hidden(batch), batch)));
    const int8 = new Map<string, Int8Weight>();
    const smoothings: Tensor[] = [];
    tidy(() =>
      noGrad(() => {
        forward(model, batch, reading);
        for (const { names, largest } of reading.readings.values()) {
          const smoothing = keep(smoothingOf(model, names, largest));
          smoothings.push(smoothing);
          for (const name of names) {
            const { parts } = Int8Weight.pack(model.weight(name), smoothing);
            int8.set(
              name,
              new Int8Weight({
                ...parts,
                packed: keep(parts.packed),
                scales: keep(parts.scales),
                sums: keep(parts.sums),
              }),
            );
          }
        }
      }),
    );
    const measure = (): number =>
      tidy(() =>
        noGrad(() => {
          const ops = new Int8Ops();
          const weights = new Int8Weights(int8, [], 0).of(model);
          return meanCosine(expected, meanVectors(ops.tensor(model.hidden(batch, { ops, weights })), batch));
        }),
      );
    let cosine = measure();
    const kept: string[] = [];
    if (cosine < leastCosine) {
      const ops = new ErrorOps(model, int8);
      tidy(() => noGrad(() => void forward(model, batch, ops)));
      const byError = [...ops.errors].sort(([, a], [, b]) => b - a).map(([name]) => name);
      const step = Math.ceil(KEPT_SHARE * byError.length);
      while (cosine < leastCosine && byError.length > 0) {
        for (const name of byError.splice(0, step)) {
          const { packed, scales, sums } = int8.get(name)!.parts;
          for (const tensor of [packed, scales, sums]) tensor.dispose();
          int8.delete(name);
          kept.push(name);
        }
        cosine = measure();
      }
    }
    const used = new Set([...int8.values()].map(({ parts }) => parts.smoothing));
    for (const smoothing of smoothings) if (!used.has(smoothing)) smoothing.dispose();
    return new Int8Weights(int8, kept, cosine);
  }

  /** Reads what `save` wrote. */
  static load(path: string): Int8Weights {
    const file = openSafetensors(path);
    try {
      const read = (name: string) => {
        const { shape, data } = file.read(name);
        return keep(fromTypedArray(data as Float32Array | Uint8Array, { shape }));
      };
      const { layers, kept, cosine } = JSON.parse(file.metadata.int8!) as Saved;
      const smoothings = new Map([...new Set(Object.values(layers))].map((name) => [name, read(`${name}.smoothing`)]));
      const int8 = Object.entries(layers).map(([name, smoothing]): [string, Int8Weight] => {
        const parts = { packed: read(name), scales: read(`${name}.scales`), sums: read(`${name}.sums`) };
        return [name, new Int8Weight({ ...parts, smoothing: smoothings.get(smoothing)! })];
      });
      return new Int8Weights(new Map(int8), kept, cosine);
    } finally {
      file.close();
    }
  }

  /** Writes the packed weights to a safetensors file, whole or not at all. */
  save(path: string): void {
    const layers: Record<string, string> = {};
    const owners = new Map<Tensor, string>();
    const tensors: TensorToWrite[] = [];
    const add = (name: string, tensor: Tensor) =>
      tensors.push({
        name,
        dtype: tensor.dtype === "uint8" ? "U8" : "F32",
        shape: [...tensor.shape],
        data: () => tensor.toTypedArray() as Float32Array<ArrayBuffer>,
      });
    for (const [name, { parts }] of this.#int8) {
      const smoothing = parts.smoothing!;
      if (!owners.has(smoothing)) add(`${name}.smoothing`, smoothing);
      layers[name] = owners.get(smoothing) ?? name;
      owners.set(smoothing, layers[name]);
      add(name, parts.packed);
      add(`${name}.scales`, parts.scales);
      add(`${name}.sums`, parts.sums);
    }
    writeSafetensors(path, tensors, {
      int8: JSON.stringify({ layers, kept: this.kept, cosine: this.cosine } satisfies Saved),
    });
  }

  /** Names of the packed parameters. */
  get names(): Set<string> {
    return new Set(this.#int8.keys());
  }

  /** What to compute with for a parameter's name. */
  of(model: TorchModel): Weights<Int8Value> {
    const tied = new Set(model.specs.flatMap(({ name, tied }) => (tied ? [name] : [])));
    return (name, use) =>
      (use === "product" || !tied.has(name) ? this.#int8.get(name) : undefined) ?? model.weight(name);
  }

  dispose(): void {
    for (const { parts } of this.#int8.values())
      for (const tensor of Object.values(parts) as Tensor[]) tensor.dispose();
  }
}

/** `layers`: by weight the one whose smoothing it shares, which may be itself. */
interface Saved {
  layers: Record<string, string>;
  kept: readonly string[];
  cosine: number;
}

/** All that computes on tokens: up to a masked-language model's logits, without class heads, which are small. */
function forward(model: TorchModel, batch: PackedBatch, ops: TorchOps): Tensor {
  const isMaskedLM = model.head === "maskedLM";
  return isMaskedLM ? model.logits(batch, Int32Array.from(batch.ids.keys()), { ops }) : model.hidden(batch, { ops });
}

/** Means over each text's tokens of hidden states [N, C]. */
export function meanVectors(hidden: Tensor, { cuSeqlens }: PackedBatch): Float64Array[] {
  const C = hidden.shape[1]!;
  const values = hidden.to("float32").toTypedArray() as Float32Array;
  return [...cuSeqlens.slice(0, -1)].map((start, i) => {
    const mean = new Float64Array(C);
    for (let at = start * C; at < cuSeqlens[i + 1]! * C; at++) mean[at % C]! += values[at]!;
    return mean;
  });
}

/** Mean over pairs of vectors. */
export function meanCosine(a: readonly Float64Array[], b: readonly Float64Array[]): number {
  const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const cosines = a.map((x, i) => dot(x, b[i]!) / Math.sqrt(dot(x, x) * dot(b[i]!, b[i]!)));
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
}

/**
 * Factors of an input's channels that even out its range and its weights' (Xiao et al. 2023, with alpha 1/2): the root of the
 * weights' largest value over the input's. Its mean is added to each channel's, so that one which these texts left quiet gets no factor
 * that its louder texts would overflow.
 */
function smoothingOf(model: TorchModel, names: readonly string[], largest: Float32Array): Tensor {
  const weights = names.map((name) => model.weight(name).abs().amax(0).toTypedArray() as Float32Array);
  const mean = largest.reduce((sum, value) => sum + value, 0) / largest.length;
  const factors = largest.map((value, i) => {
    const weight = Math.max(...weights.map((each) => each[i]!));
    const factor = Math.sqrt(weight / (value + mean));
    return factor > 1e-6 && factor < 1e6 ? factor : 1;
  });
  return fromTypedArray(factors);
}
