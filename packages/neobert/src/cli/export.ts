// `neobert export FORMAT MODEL OUT`: thin over the functions of neobert/export.

import { Command } from "commander";
import {
  exportGguf,
  exportHf,
  exportOnnx,
  type GgufExportOptions,
  type HfExportOptions,
  type OnnxExportOptions,
} from "../export/index.js";
import { resolveModel } from "../hub/resolve.js";
import { grouped } from "../terminal/progress-line.js";
import { choice, positive } from "./option-values.js";

export function exportCommand(): Command {
  return new Command("export")
    .description("Writes a model in a form that other programs read.")
    .addCommand(hfCommand())
    .addCommand(onnxCommand())
    .addCommand(ggufCommand());
}

function hfCommand(): Command {
  return new Command("hf")
    .summary("Hugging Face folder: config, safetensors, tokenizer, model card")
    .description(
      "Writes a Hugging Face folder in the published form, whatever form the model has: old tensor names, sharded or\n" +
        "half-precision weights, NomicBERT's remote-code config. An embedder keeps its sentence-transformers modules.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "new folder")
    .addOption(choice("--pooling <how>", "make an embedder of it", ["cls", "mean"]))
    .option("--normalize", "with --pooling: vectors of length 1")
    .option("--max-tokens <n>", "with --pooling: longest text in tokens", positive)
    .action(writeHf);
}

async function writeHf(model: string, out: string, options: HfExportOptions): Promise<void> {
  if (!options.pooling && (options.normalize || options.maxTokens)) {
    throw new Error(
      "export hf: expected --pooling with --normalize and --max-tokens, got none\nName how tokens become a vector: --pooling mean.",
    );
  }
  const { files, className, parameters } = exportHf(await resolveModel(model), out, options);
  console.log(`${out}: ${className}, ${grouped(parameters)} parameters`);
  for (const file of files) console.log(`  ${file}`);
}

function onnxCommand(): Command {
  return new Command("onnx")
    .summary("ONNX graph with its head, for ONNX Runtime and transformers.js")
    .description(
      "Writes OUT/onnx/model.onnx (fp32), model_fp16.onnx or model_quantized.onnx (int8) with config.json and tokenizer:\n" +
        "what transformers.js loads. Run it once a type, into the same folder. In int8 the layers that would lose too much\n" +
        "stay float32; they are listed.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "folder to write into")
    .addOption(choice("--dtype <type>", "type of the weights", ["fp32", "fp16", "int8"], "fp32"))
    .addOption(choice("--weight-bits <n>", "in int8: 7 where processors without VNNI will run it", ["7", "8"], "8"))
    .action(writeOnnx);
}

async function writeOnnx(model: string, out: string, flags: Pick<OnnxExportOptions, "dtype"> & { weightBits: string }) {
  const weightBits = flags.weightBits === "7" ? 7 : 8;
  const { files, className, bytes, kept } = await exportOnnx(await resolveModel(model), out, { ...flags, weightBits });
  console.log(`${out}: ${className} in ${flags.dtype}, ${(bytes / 1e6).toFixed(1)} MB`);
  for (const { weight, error } of kept) {
    console.log(`  ${weight} stays float32: int8 would change its results by ${(100 * error).toFixed(1)} %`);
  }
  for (const file of files) console.log(`  ${file}`);
}

function ggufCommand(): Command {
  return new Command("gguf")
    .summary("GGUF file for llama.cpp")
    .description(
      "Writes the encoder and its tokenizer as a GGUF file for llama.cpp. Heads are left out: it computes embeddings with these.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "new file")
    .addOption(choice("--dtype <type>", "type of the matrices (int8: Q8_0)", ["fp32", "fp16", "int8"], "fp16"))
    .addOption(
      choice("--pooling <how>", "a text's vector (default: the embedder's own, else the mean)", [
        "cls",
        "mean",
        "none",
      ]),
    )
    .action(writeGguf);
}

async function writeGguf(model: string, out: string, options: GgufExportOptions): Promise<void> {
  const { architecture, tensors, notes } = exportGguf(await resolveModel(model), out, options);
  console.log(`${out}: ${architecture}, ${tensors} tensors`);
  for (const note of notes) console.log(`  ${note}`);
}
