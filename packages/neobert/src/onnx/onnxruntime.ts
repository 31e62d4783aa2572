// ONNX Runtime, loaded when it is needed, and a session with our settings. It collects telemetry unless told not to, when
// its library is loaded: a device id under ~/.cache/Microsoft, and a request to a collector. Our threads share the
// process's environment, where alone the library reads the refusal.

import { existsSync } from "node:fs";
import type { InferenceSession } from "onnxruntime-node";
import { availableCores } from "../files/cores.js";
import { refuseLfsPointerFile } from "../files/input-file.js";

export type OnnxRuntime = typeof import("onnxruntime-node");

let runtime: OnnxRuntime | undefined;

export async function importOnnxRuntime(): Promise<OnnxRuntime> {
  process.env.ORT_DISABLE_TELEMETRY ??= "1";
  try {
    runtime ??= await import("onnxruntime-node");
    return runtime;
  } catch (cause) {
    throw new Error(
      `ONNX Runtime: expected the package onnxruntime-node, got ${(cause as Error).message.split("\n")[0]}\n` +
        "Run `npm install onnxruntime-node`, with ONNXRUNTIME_NODE_INSTALL=skip where its downloads are blocked.",
    );
  }
}

/** Opens a graph's file with all cores, or `threads` of them. */
export async function openSession(path: string, threads = availableCores()): Promise<InferenceSession> {
  for (const file of [path, `${path}_data`, `${path}.data`]) if (existsSync(file)) refuseLfsPointerFile(file);
  const { InferenceSession } = await importOnnxRuntime();
  return InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: 3,
  });
}
