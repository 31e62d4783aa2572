// libtorch for TypeScript: the public names.

export {
  arange,
  empty,
  eye,
  fromTypedArray,
  full,
  ones,
  rand,
  randint,
  randn,
  randperm,
  type TensorOptions,
  tensor,
  zeros,
} from "./creation.js";
export { initProcessGroup, type ProcessGroupOptions } from "./distributed.js";
export { FileStore, PrefixStore, Store, TCPStore, type TCPStoreOptions } from "./distributed-store.js";
export {
  binaryCrossEntropyWithLogits,
  cat,
  crossEntropy,
  dropout,
  embedding,
  grad,
  layerNorm,
  linalgEigh,
  linalgQr,
  linear,
  matmul,
  mseLoss,
  packedAttention,
  rmsNorm,
  scaledDotProductAttention,
  segmentMean,
  stack,
  where,
} from "./functional.js";
export {
  addNorm,
  fusedKernels,
  type GatedUnitOrigin,
  gatedLinear,
  gatedUnit,
  linearCrossEntropy,
  norm,
  rotary,
  splitQkv,
} from "./fused.js";
export type { NormOptions, RotaryOptions } from "./fused-options.js";
export type { Device, DType, TypedArray } from "./native.js";
export {
  Adam,
  type AdamOptions,
  type AdamState,
  AdamW,
  type Copies,
  clipGradNorm_,
  clipScale,
  gradNorm,
  type Optimizer,
  type ParameterGroup,
  type StepOptions,
  totalNorm,
} from "./optim.js";
export {
  canPack,
  type LayerInput,
  type PackedParts,
  type PackedType,
  type PrepackedLayer,
  PrepackedWeight,
  prepackedChain,
  prepackedChainAddNorm,
  prepackedLinears,
} from "./prepacked.js";
export { LostPeerError, ProcessGroup, type ReduceOp, Work } from "./process-group.js";
export { Generator, manualSeed } from "./random.js";
export {
  buildId,
  countOps,
  cpuCapability,
  cudaDeviceCount,
  cudaIsAvailable,
  emptyCache,
  getNumThreads,
  instructionSet,
  liveTensors,
  type MemoryStats,
  memoryStats,
  setNumThreads,
  synchronize,
  useCuda,
  version,
} from "./runtime.js";
export { enableGrad, keep, noGrad, TidyScope, tidy } from "./scope.js";
export { SOAP, type SOAPOptions } from "./soap.js";
export { type PreconditionOptions, soapStateSize, soapStepFlops } from "./soap-cost.js";
export { type Dims, Tensor } from "./tensor.js";
