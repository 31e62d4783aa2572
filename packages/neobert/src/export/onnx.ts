// A model as ONNX in the layout that transformers.js and Python's optimum load: `onnx/model.onnx` (float32),
// `onnx/model_fp16.onnx`, `onnx/model_quantized.onnx` (int8), beside config.json and the tokenizer. The graph is the
// model's own forward pass with its head, on input_ids and attention_mask [B, S], standard operators only.

import { cpSync, existsSync, mkdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { writeFileAtomic } from "../files/atomic.js";
import { walkFiles } from "../files/glob.js";
import { readJsonObject } from "../files/input-file.js";
import { packageVersion } from "../files/package.js";
import { openModel } from "../model/model-folder.js";
import { layersToKeep, quantizationErrors } from "../onnx/calibrate.js";
import type { WeightBits } from "../onnx/int8.js";
import { writeOnnx } from "../onnx/onnx-file.js";
import { tracePadded } from "../onnx/trace.js";
import { readModules } from "../vectors/sentence-transformers.js";
import { copyTokenizer } from "./hf.js";
import { checkTokenRows } from "./token-rows.js";

export interface OnnxExportOptions {
  dtype?: "fp32" | "fp16" | "int8";
  /** In int8: 7 for processors without VNNI, where 8 bits saturate. */
  weightBits?: WeightBits;
}

export interface OnnxExport {
  /** Files written, by path in the folder. */
  files: string[];
  className: string;
  /** Size of the graph with its weights. */
  bytes: number;
  /** In int8: weights of the layers that stay float32, with the relative error that int8 would have made there. */
  kept: { weight: string; error: number }[];
}

const names = { fp32: "model", fp16: "model_fp16", int8: "model_quantized" };

/** Where config.json tells transformers.js of weights in files of their own. */
interface JsConfig {
  "transformers.js_config"?: { use_external_data_format?: Record<string, number> };
}

/**
 * Writes the model in `source` (a folder) into the folder `out`, which may hold other types of it already. The head is
 * the one that config.json names; an embedder (with modules.json) has none.
 */
export async function exportOnnx(source: string, out: string, options: OnnxExportOptions = {}): Promise<OnnxExport> {
  const { dtype = "fp32", weightBits: bits = 8 } = options;
  if (!(dtype in names)) throw new Error(`export onnx: expected dtype fp32, fp16 or int8, got ${dtype}`);
  const modules = readModules(source);
  const encoder = modules ? join(source, modules[0]!.path) : source;
  const model = openModel(encoder, modules ? { head: "none" } : {});
  try {
    checkTokenRows("export onnx", encoder, model.architecture.config.vocab_size);
    const errors = dtype === "int8" ? await quantizationErrors(encoder, model, bits) : new Map<string, number>();
    const keepFloat = layersToKeep(errors);
    const graph = tracePadded(model, { dtype, bits, keepFloat });
    const file = join(out, "onnx", `${names[dtype]}.onnx`);
    mkdirSync(join(out, "onnx"), { recursive: true });
    const { external } = writeOnnx(file, graph, { producerVersion: packageVersion() });

    const { modelType } = model.architecture;
    const config: JsConfig & { model_type: string } = {
      model_type: modelType,
      ...readJsonObject<JsConfig>(join(encoder, "config.json")),
    };
    if (external) {
      // transformers.js looks for a second file only where it is told of one.
      const known = config["transformers.js_config"] ?? {};
      const files = { ...known.use_external_data_format, [basename(file)]: 1 };
      config["transformers.js_config"] = { ...known, use_external_data_format: files };
    }
    writeFileAtomic(join(out, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
    copyTokenizer(encoder, out);
    for (const { path } of modules?.slice(1) ?? []) {
      if (!existsSync(join(source, path))) continue; // Normalize has nothing to say
      cpSync(join(source, path), join(out, path), { recursive: true, filter: (name) => !name.endsWith(".bin") });
    }
    for (const name of ["modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"]) {
      if (existsSync(join(source, name))) cpSync(join(source, name), join(out, name));
    }
    const bytes = [file, `${file}_data`].reduce((sum, path) => sum + (existsSync(path) ? statSync(path).size : 0), 0);
    return {
      files: walkFiles(out),
      className: model.architecture.classNames[model.head],
      bytes,
      kept: keepFloat.map((weight) => ({ weight, error: errors.get(weight)! })),
    };
  } finally {
    model.close();
  }
}
