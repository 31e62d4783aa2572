// The encoders without an engine: configs, parameters, the forward pass over `Ops`, checkpoint names, initial values.
// The libtorch side is `torch-model.js` and `torch-ops.js`, imported where libtorch is there.

export type {
  Architecture,
  Bound,
  CheckpointVariants,
  FreshModel,
  GgufForm,
  Head,
  Initializer,
  ParameterSpec,
} from "./architecture.js";
export {
  architectureOf,
  headOf,
  type ModelArchitecture,
  type ModelConfig,
  modelTypes,
} from "./architectures.js";
export { type BertConfig, bert } from "./bert.js";
export { type MatchedNames, type MatchOptions, matchCheckpointNames, savedName } from "./checkpoint-names.js";
export { readArchitecture } from "./config-file.js";
export { toFloat32 } from "./float32.js";
export { initialValues } from "./init.js";
export { type ModelFolder, type OpenOptions, openModel, type SavedParts, saveModel } from "./model-folder.js";
export { type ModernBertConfig, modernBert } from "./modernbert.js";
export { type NeoBERTConfig, neobert, parseNeoBERTConfig } from "./neobert.js";
export { type NomicBertConfig, nomicBert } from "./nomicbert.js";
export type { Batch, Norm, Ops, Qkv, QkvProjection, RotaryAngles, RowChoice, SplitOptions, Weights } from "./ops.js";
export { type RobertaConfig, roberta } from "./roberta.js";
