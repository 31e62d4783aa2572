// The native addon and its types: the one place that says what crosses between TypeScript and C++. A tensor crosses as
// a handle (a number); `Tensor` wraps it. Optional arguments are `undefined`.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export type Handle = number;
export type DType = "float32" | "float64" | "bfloat16" | "int64" | "int32" | "uint8" | "bool";
/** Where a tensor lives: "cpu", "cuda" or "cuda:1"; on "meta" it has a shape and no values. */
export type Device = "cpu" | "cuda" | `cuda:${number}` | "meta";
export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Uint32Array
  | Uint16Array
  | Uint8Array;
export type Reduction = "none" | "mean" | "sum";
/** An object of c10d that JavaScript holds: a store, a group or a work. It lives until its collection. */
export type External = object & { readonly external: never };

type Unary =
  | "neg" | "abs" | "exp" | "log" | "sqrt" | "rsqrt" | "square" | "reciprocal" | "sin" | "cos" | "tanh" | "erf"
  | "sigmoid" | "relu" | "round" | "floor" | "silu" | "isnan" | "isfinite" | "logicalNot" | "all" | "any"
  | "contiguous" | "clone" | "detach" | "nonzero"; // biome-ignore format: a list
type Binary =
  | "mul" | "div" | "pow" | "maximum" | "minimum" | "eq" | "ne" | "lt" | "le" | "gt" | "ge"
  | "logicalAnd" | "logicalOr" | "matmul" | "maskedSelect"; // biome-ignore format: a list
type WithScalar =
  | "addScalar" | "mulScalar" | "divScalar" | "powScalar"
  | "eqScalar" | "neScalar" | "ltScalar" | "leScalar" | "gtScalar" | "geScalar"; // biome-ignore format: a list

type Optional<T> = T | undefined;

/** What a step of Adam works on, a handle for each parameter in every list. */
type AdamTensors = [
  params: Handle[],
  grads: Handle[],
  averages: Handle[],
  squares: Handle[],
  steps: Handle[],
  copies: Optional<Handle>[],
];
type AdamSettings = [lr: number, beta1: number, beta2: number, weightDecay: number, eps: number];

/** Packed weight, bias, scales, sums, smoothing. */
type PackedHandles = readonly Optional<Handle>[];
type PackedChain = [layers: PackedHandles[], channels: number[], activations: string[], gates: string[]];

export type Native = Record<Unary, (x: Handle) => Handle> &
  Record<Binary, (a: Handle, b: Handle) => Handle> &
  Record<WithScalar, (a: Handle, b: number) => Handle> &
  Record<"add" | "sub", (a: Handle, b: Handle, alpha: number) => Handle> &
  Record<"sum" | "mean" | "amax" | "amin", (x: Handle, dims: Optional<number[]>, keepdim: boolean) => Handle> &
  Record<"mul_" | "div_" | "copy_", (x: Handle, other: Handle) => void> &
  Record<"addScalar_" | "mulScalar_" | "divScalar_" | "fill_", (x: Handle, value: number) => void> &
  Record<"reshape" | "view" | "permute" | "expand" | "repeat" | "flip", (x: Handle, shape: number[]) => Handle> &
  Record<"cumsum" | "softmax" | "logSoftmax" | "unsqueeze", (x: Handle, dim: number) => Handle> &
  Record<"tril" | "triu", (x: Handle, diagonal: number) => Handle> &
  Record<"cat" | "stack", (tensors: Handle[], dim: number) => Handle> &
  Record<"indexSelect" | "gather", (x: Handle, dim: number, index: Handle) => Handle> &
  Record<"indexAdd_" | "indexCopy_", (x: Handle, dim: number, index: Handle, source: Handle) => void> &
  Record<"normal_" | "uniform_" | "randint_", (x: Handle, a: number, b: number, generator: Optional<Handle>) => void> &
  Record<
    "adamW_" | "adam_",
    (params: Handle[], averages: Handle[], squares: Handle[], steps: Handle[], ...settings: AdamSettings) => void
  > & {
    borrow(array: TypedArray, shape: number[], dtype: DType): Handle;
    copyTo(x: Handle, array: TypedArray): void;
    item(x: Handle): number;
    empty(shape: number[], dtype: DType, device: Device): Handle;
    full(shape: number[], value: number, dtype: DType, device: Device): Handle;
    arange(start: number, end: number, step: number, dtype: DType, device: Device): Handle;
    eye(n: number, dtype: DType, device: Device): Handle;
    shape(x: Handle): number[];
    strides(x: Handle): number[];
    dtype(x: Handle): DType;
    device(x: Handle): Device;
    /** Whether it is float32 or bfloat16 on the CPU. */
    takesFused(x: Handle): boolean;
    isContiguous(x: Handle): boolean;
    sharesMemory(a: Handle, b: Handle): boolean;
    toDtype(x: Handle, dtype: DType): Handle;
    toDevice(x: Handle, device: Device): Handle;
    dispose(x: Handle): void;
    liveTensors(): number;
    setNumThreads(threads: number): void;
    getNumThreads(): number;
    cudaIsAvailable(): boolean;
    /** Throws, saying what lacks, where a GPU cannot be used; `folder` is libtorch's, that of the one that runs unless given. */
    useCuda(device: string, folder: Optional<string>): void;
    /** 0 until CUDA is loaded. */
    cudaDeviceCount(): number;
    deviceMemoryStats(device: Device): number[];
    emptyDeviceCache(device: Device): void;
    synchronize(device: Device): void;
    outOfMemoryText(message: string, memory: number[]): string;
    startOpCounts(): void;
    /** Lines of an op's name and how often it was called. */
    stopOpCounts(): string[];
    version(): string;
    cpuCapability(): string;
    instructionSet(): string;
    instructionSets(): string[];
    setInstructionSet(name: string): void;
    memoryStats(): number[];
    /** Of CPU tensors, all threads' together; at first all that the machine has. */
    setMemoryLimit(bytes: number): void;
    emptyCache(): void;

    gelu(x: Handle, approximate: "none" | "tanh"): Handle;
    clamp(x: Handle, low: Optional<number>, high: Optional<number>): Handle;
    maskedFill(x: Handle, mask: Handle, value: number): Handle;
    where(condition: Handle, a: Handle, b: Handle): Handle;
    variance(x: Handle, dims: Optional<number[]>, correction: number, keepdim: boolean): Handle;
    norm(x: Handle, p: number, dims: Optional<number[]>, keepdim: boolean): Handle;
    argmax(x: Handle, dim: Optional<number>, keepdim: boolean): Handle;
    logsumexp(x: Handle, dims: number[], keepdim: boolean): Handle;
    topk(x: Handle, k: number, dim: number, largest: boolean): [Handle, Handle];
    sort(x: Handle, dim: number, descending: boolean): [Handle, Handle];
    add_(x: Handle, other: Handle, alpha: number): void;

    flatten(x: Handle, startDim: number, endDim: number): Handle;
    transpose(x: Handle, dim0: number, dim1: number): Handle;
    squeeze(x: Handle, dim: Optional<number>): Handle;
    narrow(x: Handle, dim: number, start: number, length: number): Handle;
    select(x: Handle, dim: number, index: number): Handle;
    split(x: Handle, sizes: number[], dim: number): Handle[];
    chunk(x: Handle, chunks: number, dim: number): Handle[];
    unbind(x: Handle, dim: number): Handle[];

    matmulOut(a: Handle, b: Handle, out: Handle): void;
    linalgEigh(x: Handle): [Handle, Handle];
    linalgQr(x: Handle): [Handle, Handle];
    linear(x: Handle, weight: Handle, bias: Optional<Handle>): Handle;
    embedding(weight: Handle, indices: Handle): Handle;
    layerNorm(x: Handle, shape: number[], weight: Optional<Handle>, bias: Optional<Handle>, eps: number): Handle;
    rmsNorm(x: Handle, shape: number[], weight: Optional<Handle>, eps: number): Handle;
    crossEntropy(x: Handle, target: Handle, reduction: Reduction, ignoreIndex: number, labelSmoothing: number): Handle;
    binaryCrossEntropyWithLogits(x: Handle, target: Handle, reduction: Reduction): Handle;
    mseLoss(x: Handle, target: Handle, reduction: Reduction): Handle;
    scaledDotProductAttention(q: Handle, k: Handle, v: Handle, mask: Optional<Handle>, scale: Optional<number>): Handle;
    fusedNorm(x: Handle, weight: Handle, bias: Optional<Handle>, center: boolean, eps: number): Handle;
    fusedAddNorm(
      x: Handle,
      y: Handle,
      weight: Handle,
      bias: Optional<Handle>,
      center: boolean,
      eps: number,
    ): [Handle, Handle];
    fusedGatedUnit(x: Handle, first: boolean, gelu: boolean): Handle;
    fusedGatedLinear(x: Handle, unit: Handle, weight: Handle, first: boolean, gelu: boolean): Handle;
    fusedSplitQkv(
      qkv: Handle,
      heads: number,
      kvHeads: number,
      perHead: boolean,
      cos: Optional<Handle>,
      sin: Optional<Handle>,
      adjacent: boolean,
    ): [Handle, Handle, Handle];
    fusedRotary(x: Handle, cos: Handle, sin: Handle, adjacent: boolean): Handle;
    fusedLinearCrossEntropy(x: Handle, weight: Handle, bias: Optional<Handle>, labels: Handle): Handle;
    /** Packed weight; scales and sums too in uint8. */
    prepack(weight: Handle, dtype: DType, smoothing: Optional<Handle>): Handle[];
    prepackedLinears(
      x: Handle,
      layers: PackedHandles[],
      channels: number[],
      activation: string,
      gate: string,
      dtype: DType,
    ): Handle[];
    prepackedChain(x: Handle, ...layers: PackedChain): Handle;
    prepackedChainAddNorm(
      residual: Handle,
      x: Handle,
      ...rest: [...PackedChain, weight: Handle, bias: Optional<Handle>, center: boolean, eps: number]
    ): [Handle, Handle];
    chunkedLinearCrossEntropy(x: Handle, weight: Handle, bias: Optional<Handle>, labels: Handle): Handle;
    deviceGatedUnit(x: Handle, first: boolean, gelu: boolean): Handle;
    turnPairs(x: Handle, cos: Handle, sin: Handle): Handle;
    segmentMean(x: Handle, cuSeqlens: number[]): Handle;
    deviceAttention(
      q: Handle,
      k: Handle,
      v: Handle,
      cuSeqlens: number[],
      scale: number,
      window: Optional<number>,
    ): Handle;
    packedAttention(
      q: Handle,
      k: Handle,
      v: Handle,
      cuSeqlens: number[],
      scale: number,
      window: Optional<number>,
    ): Handle;

    requiresGrad(x: Handle): boolean;
    requiresGrad_(x: Handle, flag: boolean): void;
    isLeaf(x: Handle): boolean;
    grad(x: Handle): Optional<Handle>;
    setGrad(x: Handle, grad: Optional<Handle>): void;
    backward(x: Handle, gradient: Optional<Handle>, retainGraph: boolean): void;
    gradients(outputs: Handle[], inputs: Handle[], gradOutputs: Optional<Handle[]>): Optional<Handle>[];
    isGradEnabled(): boolean;
    setGradEnabled(enabled: boolean): void;

    makeGenerator(seed: number, device: Device): Handle;
    disposeGenerator(generator: Handle): void;
    setSeed(generator: Handle, seed: number): void;
    generatorState(generator: Handle): Handle;
    setGeneratorState(generator: Handle, state: Handle): void;
    bernoulli_(x: Handle, p: number, generator: Optional<Handle>): void;
    randperm(n: number, generator: Optional<Handle>, device: Device): Handle;
    manualSeed(seed: number): void;

    checkAdam(...tensors: AdamTensors): void;
    checkPackedAttention(q: Handle, k: Handle, v: Handle, cuSeqlens: number[], window: Optional<number>): void;
    normOfAll(tensors: Handle[]): number;
    fusedNormOfAll(tensors: Handle[]): number;
    fusedAdam_(...args: [...AdamTensors, ...AdamSettings, gradScale: number, decoupled: boolean]): void;
    foreachAdam_(...args: [...AdamTensors, ...AdamSettings, gradScale: number, decoupled: boolean]): void;

    tcpStore(host: string, port: number, isServer: boolean, timeoutMs: number): Promise<External>;
    fileStore(path: string, worldSize: number): External;
    prefixStore(prefix: string, store: External): External;
    storePort(store: External): number;
    setStoreTimeout(store: External, timeoutMs: number): void;
    storeSet(store: External, key: string, value: string): Promise<void>;
    storeGet(store: External, key: string): Promise<string>;
    storeAdd(store: External, key: string, amount: number): Promise<number>;
    storeCheck(store: External, keys: string[]): Promise<boolean>;
    storeWait(store: External, keys: string[], timeoutMs: number): Promise<void>;
    storeDeleteKey(store: External, key: string): Promise<boolean>;
    /** The interface's name and this machine's address on it. */
    routeTo(host: string, port: number): [name: string, address: string];
    socketAddresses(): string[];
    processGroup(
      backend: "gloo" | "nccl",
      store: External,
      rank: number,
      size: number,
      timeoutMs: number,
      interfaces: string[],
      address: string,
    ): Promise<External>;
    closeGroup(group: External): Promise<void>;
    allReduce(group: External, x: Handle, op: "sum" | "avg" | "min" | "max"): External;
    broadcast(group: External, x: Handle, src: number): External;
    allGather(group: External, outputs: Handle[], x: Handle): External;
    allToAll(group: External, outputs: Handle[], inputs: Handle[]): External;
    reduceScatter(group: External, output: Handle, inputs: Handle[]): External;
    barrier(group: External): External;
    monitoredBarrier(group: External, timeoutMs: number): Promise<void>;
    workIsCompleted(work: External): boolean;
    workWait(work: External): Promise<void>;
  };

// NOTE: between two ops OpenMP's threads by default spin for long, which starves the rest of the machine (the batch
// worker, a neighbour) and makes each op up to a hundred times slower where a core is busy. Short spinning costs 4 %.
process.env.GOMP_SPINCOUNT ??= "2000";

/**
 * Why importing this package failed, by the error's `code`: ERR_ADDON_NOT_BUILT where no addon was compiled (libtorch is
 * not set up), ERR_ADDON_UNUSABLE where one is there and does not load (another libtorch, a library that is missing).
 * NOTE: that import gives no class to compare with, so who can do without this package looks at the code.
 */
export type AddonErrorCode = "ERR_ADDON_NOT_BUILT" | "ERR_ADDON_UNUSABLE";

// NEOBERT_ADDON names another build, as the run under sanitizers does.
export const addonPath =
  process.env.NEOBERT_ADDON || fileURLToPath(new URL("../native/build/Release/torch.node", import.meta.url));

function load(): Native {
  try {
    return createRequire(import.meta.url)(addonPath) as Native;
  } catch (error) {
    const code: AddonErrorCode = existsSync(addonPath) ? "ERR_ADDON_UNUSABLE" : "ERR_ADDON_NOT_BUILT";
    const failure = new Error(
      `@neobert/torch: expected the compiled addon at ${addonPath}, got: ${(error as Error).message.split("\n")[0]}\n` +
        "`npx neobert setup-torch` (in the repository `npm run setup`) finds or fetches libtorch and compiles it.",
      { cause: error },
    );
    throw Object.assign(failure, { code });
  }
}

export const native: Native = load();
