// A model's matrices packed for inference: those that its linear layers multiply tokens with, in float32, bfloat16 or int8. In int8
// what the layers read is measured on a few texts, whose ranges are evened out; a layer stays float only where the texts' vectors would otherwise
// turn too far. Packed int8 weights are kept in a file.

import {
  canPack,
  fromTypedArray,
  keep,
  noGrad,
  type PackedType,
  PrepackedWeight,
  prepackedLinears,
  type Tensor,
  tidy,
} from "@neobert/torch";
import { openSafetensors, type TensorToWrite, writeSafetensors } from "../../files/safetensors.js";
import type { Weights } from "../ops.js";
import type { PackedBatch } from "../packed-batch.js";
import { InferenceOps, type InferenceValue } from "./torch-inference-ops.js";
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

/** The float32 model, measuring how far each packed layer's result is from its own. */
class ErrorOps extends TorchOps {
  readonly errors = new Map<string, number>();
  readonly #packed: Map<Tensor, [name: string, weight: PrepackedWeight]>;

  constructor(model: TorchModel, packed: ReadonlyMap<string, PrepackedWeight>) {
    super();
    this.#packed = new Map([...packed].map(([name, weight]) => [model.weight(name), [name, weight]]));
  }

  override linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
    const y = super.linear(x, weight, bias);
    const [name, packed] = this.#packed.get(weight) ?? [];
    if (name !== undefined && packed) {
      const error = tidy(() => {
        const plain = { activation: "none", gate: "none" } as const;
        const [approximate] = prepackedLinears(x, [{ weight: packed, bias }], plain, "float32");
        return approximate!.sub(y).norm().item() / y.norm().item();
      });
      this.errors.set(name, error);
    }
    return y;
  }
}

/** What the layers that int8 leaves float are packed in. */
const floatType = (): PackedType => (canPack("bfloat16") ? "bfloat16" : "float32");

/** What a model computes with in inference. */
export class PackedWeights {
  readonly #packed: Map<string, PrepackedWeight>;
  /** Int8: names of the layers that stay float. */
  readonly kept: readonly string[];
  /** Int8: mean cosine of the calibration texts' vectors (means over their tokens) with float32's. */
  readonly cosine: number;

  private constructor(packed: Map<string, PrepackedWeight>, kept: readonly string[] = [], cosine = 1) {
    this.#packed = packed;
    this.kept = kept;
    this.cosine = cosine;
  }

  /** Packs the matrices that `model` multiplies tokens with, in a float type; it gives them up but for tied tables. */
  static pack(model: TorchModel, type: Exclude<PackedType, "int8">): PackedWeights {
    const reading = new ReadingOps(model);
    tidy(() => noGrad(() => void forward(model, { ids: Int32Array.of(0), cuSeqlens: Int32Array.of(0, 1) }, reading)));
    const weights = new PackedWeights(new Map());
    const names = [...reading.readings.values()].flatMap((each) => each.names);
    weights.#packFloat(model, names, type);
    return weights;
  }

  /** Packs them in int8, as many as the vectors of `batch` allow. The model keeps its own. */
  static quantize(model: TorchModel, batch: PackedBatch, leastCosine = LEAST_COSINE): PackedWeights {
    const reading = new ReadingOps(model);
    const expected = tidy(() => noGrad(() => meanVectors(model.hidden(batch), batch)));
    const packed = new Map<string, PrepackedWeight>();
    const smoothings: Tensor[] = [];
    tidy(() =>
      noGrad(() => {
        forward(model, batch, reading);
        for (const { names, largest } of reading.readings.values()) {
          const smoothing = keep(smoothingOf(model, names, largest));
          smoothings.push(smoothing);
          for (const name of names) packed.set(name, kept(PrepackedWeight.pack(model.weight(name), "int8", smoothing)));
        }
      }),
    );
    const measure = (): number =>
      tidy(() =>
        noGrad(() => {
          const ops = new InferenceOps();
          const weights = new PackedWeights(packed).of(model);
          return meanCosine(expected, meanVectors(ops.tensor(model.hidden(batch, { ops, weights })), batch));
        }),
      );
    let cosine = measure();
    const floats: string[] = [];
    if (!(cosine >= leastCosine)) {
      const ops = new ErrorOps(model, packed);
      tidy(() => noGrad(() => void forward(model, batch, ops)));
      const byError = [...ops.errors].sort(([, a], [, b]) => b - a).map(([name]) => name);
      const step = Math.ceil(KEPT_SHARE * byError.length);
      while (!(cosine >= leastCosine) && byError.length > 0) {
        for (const name of byError.splice(0, step)) {
          for (const tensor of packed.get(name)!.tensors) tensor.dispose();
          packed.delete(name);
          floats.push(name);
        }
        cosine = measure();
      }
    }
    const used = new Set([...packed.values()].map(({ parts }) => parts.smoothing));
    for (const smoothing of smoothings) if (!used.has(smoothing)) smoothing.dispose();
    return new PackedWeights(packed, floats, cosine);
  }

  /** Reads what `save` wrote. */
  static load(path: string): PackedWeights {
    const file = openSafetensors(path);
    try {
      const read = (name: string) => {
        const { shape, data } = file.read(name);
        return keep(fromTypedArray(data as Float32Array | Uint8Array, { shape }));
      };
      const { layers, kept, cosine } = JSON.parse(file.metadata.int8!) as Saved;
      const smoothings = new Map([...new Set(Object.values(layers))].map((name) => [name, read(`${name}.smoothing`)]));
      const packed = Object.entries(layers).map(([name, owner]): [string, PrepackedWeight] => {
        const [scales, sums, smoothing] = [read(`${name}.scales`), read(`${name}.sums`), smoothings.get(owner)!];
        return [name, new PrepackedWeight({ channels: scales.numel, packed: read(name), scales, sums, smoothing })];
      });
      return new PackedWeights(new Map(packed), kept, cosine);
    } finally {
      file.close();
    }
  }

  /** Writes int8 weights to a safetensors file, whole or not at all. */
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
    for (const [name, { parts }] of this.#packed) {
      const smoothing = parts.smoothing!;
      if (!owners.has(smoothing)) add(`${name}.smoothing`, smoothing);
      layers[name] = owners.get(smoothing) ?? name;
      owners.set(smoothing, layers[name]);
      add(name, parts.packed);
      add(`${name}.scales`, parts.scales!);
      add(`${name}.sums`, parts.sums!);
    }
    const saved: Saved = { layers, kept: this.kept, cosine: this.cosine };
    writeSafetensors(path, tensors, { int8: JSON.stringify(saved) });
  }

  /** Names of the packed parameters. */
  get names(): Set<string> {
    return new Set(this.#packed.keys());
  }

  /** Values of the packed parameters. */
  get count(): number {
    return [...this.#packed.values()].reduce((sum, { parts: { packed } }) => sum + packed.numel, 0);
  }

  /** Packs the layers that int8 left float too; the model gives them up. */
  packKept(model: TorchModel): void {
    this.#packFloat(model, this.kept, floatType());
  }

  #packFloat(model: TorchModel, names: readonly string[], type: PackedType): void {
    tidy(() =>
      noGrad(() => {
        for (const name of names) this.#packed.set(name, kept(PrepackedWeight.pack(model.weight(name), type)));
      }),
    );
    model.release(names);
  }

  /** What to compute with for a parameter's name. */
  of(model: TorchModel): Weights<InferenceValue> {
    const tied = new Set(model.specs.flatMap(({ name, tied }) => (tied ? [name] : [])));
    return (name, use) =>
      (use === "product" || !tied.has(name) ? this.#packed.get(name) : undefined) ?? model.weight(name);
  }

  dispose(): void {
    for (const { tensors, parts } of this.#packed.values()) {
      for (const tensor of tensors) tensor.dispose();
      parts.smoothing?.dispose();
    }
  }
}

/** `layers`: by weight the one whose smoothing it shares, which may be itself. */
interface Saved {
  layers: Record<string, string>;
  kept: readonly string[];
  cosine: number;
}

function kept(weight: PrepackedWeight): PrepackedWeight {
  for (const tensor of weight.tensors) keep(tensor);
  return weight;
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
 * that louder texts would overflow.
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
