// Loads a model folder into the engine that is asked for; each engine and its library only when it is wanted.

import type { Engine, EngineOptions } from "./engine.js";

/** Loads a model folder into an engine. Throws where libtorch is wanted and not there, saying how to get it. */
export async function loadEngine(folder: string, { engine, ...options }: EngineOptions): Promise<Engine> {
  if (options.onnxFile !== undefined) {
    const { loadOnnxFileEngine } = await import("./onnx-file-engine.js");
    return loadOnnxFileEngine(folder, { ...options, onnxFile: options.onnxFile });
  }
  if (engine === "onnx") {
    const { loadOnnxEngine } = await import("./onnx-engine.js");
    return loadOnnxEngine(folder, options as EngineOptions & { dtype: "fp32" | "int8" });
  }
  const torch = await import("./torch-engine.js").catch((cause: Error) => {
    const reason = cause.message.split("\n")[0];
    throw new Error(
      `engine "torch": expected libtorch and its addon, got none (${reason})\n` +
        'Run `npx neobert setup-torch`, which fetches and compiles them, or use engine "onnx".',
    );
  });
  return torch.loadTorchEngine(folder, options);
}
