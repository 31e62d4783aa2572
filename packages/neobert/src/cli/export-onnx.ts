// `neobert export onnx MODEL OUT`: for onnxruntime, onnxruntime-web and transformers.js.

import { Command, Option } from "commander";
import { exportOnnx, type OnnxExportOptions } from "../export/onnx.js";
import { resolveModel } from "../hub/resolve.js";

export function exportOnnxCommand(): Command {
  return new Command("onnx")
    .summary("ONNX graph with its head, for ONNX Runtime and transformers.js")
    .description(
      "Writes OUT/onnx/model.onnx (fp32), model_fp16.onnx or model_quantized.onnx (int8) with config.json and tokenizer:\n" +
        "what transformers.js loads. Run it once a type, into the same folder. In int8 the layers that would lose too much\n" +
        "stay float32; they are listed.",
    )
    .argument("<model>", "model folder, run folder, or name on the Hub")
    .argument("<out>", "folder to write into")
    .addOption(new Option("--dtype <type>", "type of the weights").choices(["fp32", "fp16", "int8"]).default("fp32"))
    .addOption(
      new Option("--weight-bits <n>", "in int8: 7 where processors without VNNI will run it")
        .choices(["7", "8"])
        .default("8"),
    )
    .action(run);
}

async function run(model: string, out: string, flags: Pick<OnnxExportOptions, "dtype"> & { weightBits: string }) {
  const weightBits = flags.weightBits === "7" ? 7 : 8;
  const { files, className, bytes, kept } = await exportOnnx(await resolveModel(model), out, { ...flags, weightBits });
  console.log(`${out}: ${className} in ${flags.dtype}, ${(bytes / 1e6).toFixed(1)} MB`);
  for (const { weight, error } of kept) {
    console.log(`  ${weight} stays float32: int8 would change its results by ${(100 * error).toFixed(1)} %`);
  }
  for (const file of files) console.log(`  ${file}`);
}
