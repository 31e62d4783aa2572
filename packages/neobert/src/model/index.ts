// The encoders without an engine: configs, parameters, initial values, folders. The libtorch side is `torch-model.js` and
// `torch-ops.js`, imported where libtorch is there.

export type { GgufForm, Head, ParameterSpec } from "./architecture.js";
export { architectureOf, headOf, type ModelArchitecture, modelTypes } from "./architectures.js";
export { savedName } from "./checkpoint-names.js";
export { readArchitecture } from "./config-file.js";
export { initialValues } from "./init.js";
export { openModel, type SavedParts, saveModel } from "./model-folder.js";
export { countValues } from "./parameters.js";
