// `neobert/export`: models in the forms that other programs read.

export { exportGguf, type GgufExport, type GgufExportOptions } from "./gguf.js";
export { exportHf, type HfExport, type HfExportOptions } from "./hf.js";
export { exportOnnx, type OnnxExport, type OnnxExportOptions } from "./onnx.js";
