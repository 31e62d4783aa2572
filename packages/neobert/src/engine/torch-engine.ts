// The libtorch engine: a TorchModel without gradients. On the CPU its matrices are packed, in int8 out of the user's cache; on a GPU, and
// where the processor has no products in bf16, libtorch multiplies them. Norms and softmax stay float32, as in training.

import { join } from "node:path";
import { canPack, fusedKernels, noGrad, setNumThreads, type Tensor, tidy } from "@neobert/torch";
import { availableCores } from "../files/cores.js";
import { cacheFolder, withCached } from "../files/model-cache.js";
import type { Head } from "../model/architecture.js";
import type { DeviceChoice } from "../model/device-choice.js";
import type { Weights } from "../model/ops.js";
import type { PackedBatch } from "../model/packed-batch.js";
import { chosenDevice } from "../model/torch/chosen-device.js";
import { type ComputeType, ComputeWeights } from "../model/torch/torch-compute-weights.js";
import { InferenceOps } from "../model/torch/torch-inference-ops.js";
import { type ForwardOptions, TorchModel } from "../model/torch/torch-model.js";
import { TorchOps } from "../model/torch/torch-ops.js";
import { meanCosine, meanVectors, PackedWeights } from "../model/torch/torch-packed-weights.js";
import { calibrationBatch } from "../texts/calibration-texts.js";
import type { DtypeChoice, Engine, EngineDtype } from "./engine.js";

/** Bounds memory; libtorch is about as fast with fewer. */
const MOST_TOKENS = 4096;

/** Cosine of the vectors with fp32's that `auto` asks of bf16, and its least gain. */
const AUTO_COSINE = 0.999;
const AUTO_GAIN = 1.1;

/** Operations that one thread does in a millisecond, a low estimate; a run of fewer is over before other threads are awake. */
const SHORT_RUN: Record<EngineDtype, number> = { fp32: 1e8, bf16: 2e8, int8: 4e8 };

export interface TorchEngineOptions {
  dtype: DtypeChoice;
  head?: Head;
  device?: DeviceChoice;
  threads?: number;
  /** Texts to choose int8 layers by, in place of built-in ones. */
  calibrate?: readonly string[];
}

/** A model of a Hugging Face folder on libtorch. Throws as `TorchModel.load` does. */
export async function loadTorchEngine(folder: string, options: TorchEngineOptions): Promise<Engine> {
  const { dtype, threads = availableCores() } = options;
  setNumThreads(threads);
  const device = chosenDevice(options.device ?? "cpu");
  const onCpu = device === "cpu";
  if (dtype === "int8") {
    if (!onCpu) throw new Error(`${folder}: expected device cpu for dtype int8, got ${device}\nUse bf16 there.`);
    return loadInt8(folder, options, threads);
  }
  const model = TorchModel.load(folder, { device, ...headOption(options) });
  const choice = dtype === "auto" ? chooseType(model, calibrationBatch(folder, model, options.calibrate)) : { dtype };
  const isPacked = onCpu && fusedKernels() && canPack(packedTypes[choice.dtype]);
  return isPacked ? packedEngine(model, choice, threads) : plainEngine(model, choice);
}

const packedTypes = { fp32: "float32", bf16: "bfloat16" } as const;

interface Choice<D extends EngineDtype = ComputeType> {
  dtype: D;
  note?: string;
}

/** The matrices packed for our own kernels. */
function packedEngine(model: TorchModel, choice: Choice, threads: number): Engine {
  return engineOnPacked(model, PackedWeights.pack(model, packedTypes[choice.dtype]), choice, threads);
}

function engineOnPacked(
  model: TorchModel,
  packed: PackedWeights,
  choice: Choice<EngineDtype>,
  threads: number,
): Engine {
  const weights = packed.of(model);
  const { count } = packed;
  const run = (tokens: number) => {
    setNumThreads(2 * tokens * count < SHORT_RUN[choice.dtype] ? 1 : threads);
    const ops = new InferenceOps();
    return { ops, weights, tensor: ops.tensor.bind(ops) };
  };
  return engineOf(model, choice, run, () => packed.dispose());
}

/** libtorch's own products. */
function plainEngine(model: TorchModel, choice: Choice): Engine {
  const compute = noGrad(() => new ComputeWeights(model, choice.dtype));
  const run = () => ({ ops: new TorchOps(), weights: compute.weights, tensor: (value: Tensor) => value });
  return engineOf(model, choice, run, () => compute.dispose());
}

/** bf16 where it is faster here and the texts' vectors stay fp32's. */
function chooseType(model: TorchModel, batch: PackedBatch): Choice {
  const compute = noGrad(() => new ComputeWeights(model, "bf16"));
  const run = (weights: Weights<Tensor>) =>
    tidy(() =>
      noGrad(() => {
        const start = performance.now();
        const hidden = model.hidden(batch, { weights });
        return { ms: performance.now() - start, vectors: meanVectors(hidden, batch) };
      }),
    );
  const both = [run((name) => model.weight(name)), run(compute.weights)] as const; // and once more, warm
  const ms = both.map(({ ms }) => ms) as [number, number];
  for (let i = 0; i < 2; i++) {
    ms[0] = Math.min(ms[0], run((name) => model.weight(name)).ms);
    ms[1] = Math.min(ms[1], run(compute.weights).ms);
  }
  compute.dispose();
  const cosine = meanCosine(both[0].vectors, both[1].vectors);
  const gain = ms[0] / ms[1];
  const dtype = cosine >= AUTO_COSINE && gain >= AUTO_GAIN ? "bf16" : "fp32";
  const measured = `bf16 is ${gain.toFixed(2)} times as fast as fp32, the cosine of its vectors with fp32's ${cosine.toFixed(5)}`;
  return { dtype, note: `dtype auto: ${dtype} (here ${measured})` };
}

/** The file of packed weights in its folder of the cache. */
const INT8_FILE = "int8.safetensors";

async function loadInt8(folder: string, options: TorchEngineOptions, threads: number): Promise<Engine> {
  const { head, calibrate } = options;
  const packed = await cacheFolder("int8", folder, { head, calibrate });
  const write = async (path: string) => {
    const model = TorchModel.load(folder, headOption(options));
    const weights = PackedWeights.quantize(model, calibrationBatch(folder, model, calibrate));
    weights.save(join(path, INT8_FILE));
    weights.dispose();
    model.dispose();
  };
  const int8 = await withCached(packed, write, async (path) => PackedWeights.load(join(path, INT8_FILE)));
  const model = TorchModel.load(folder, { ...headOption(options), without: int8.names });
  const { names } = int8;
  int8.packKept(model);
  const { kept, cosine } = int8;
  const float = kept.length > 0 ? `, ${kept.length} stay float: ${kept.join(", ")}` : "";
  const note = `int8: ${names.size} layers${float}; the cosine of its vectors with fp32's is ${cosine.toFixed(4)}`;
  return engineOnPacked(model, int8, { dtype: "int8", note }, threads);
}

const headOption = ({ head }: TorchEngineOptions) => (head ? { head } : {});

/** `run` gives the ops of one forward pass of so many tokens, what it computes with, and a result of it as a tensor. */
function engineOf<T>(
  model: TorchModel,
  { dtype, note }: Choice<EngineDtype>,
  run: (tokens: number) => Required<ForwardOptions<T>> & { tensor: (value: T) => Tensor },
  dispose: () => void,
): Engine {
  const values = async ({ ids }: PackedBatch, compute: (run: ForwardOptions<T>) => T) =>
    tidy(() =>
      noGrad(() => {
        const { tensor, ...own } = run(ids.length);
        return tensor(compute(own)).to("float32").toTypedArray();
      }),
    ) as Float32Array;
  return {
    kind: "torch",
    dtype,
    ...(note !== undefined && { note }),
    config: model.config,
    head: model.head,
    mostTokens: MOST_TOKENS,
    hidden: (batch) => values(batch, (own) => model.hidden(batch, own)),
    maskedLogits: (batch, rows) => values(batch, (own) => model.logits(batch, rows, own)),
    sequenceLogits: (batch) => values(batch, (own) => model.sequenceLogits(batch, own)),
    tokenLogits: (batch) => values(batch, (own) => model.tokenLogits(batch, own)),
    dispose: async () => {
      dispose();
      model.dispose();
    },
  };
}
