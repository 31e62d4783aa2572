// `neobert export FORMAT MODEL OUT`: the table of formats. Each has a file of its own.

import { Command } from "commander";
import { exportGgufCommand } from "./export-gguf.js";
import { exportHfCommand } from "./export-hf.js";
import { exportOnnxCommand } from "./export-onnx.js";

export function exportCommand(): Command {
  return new Command("export")
    .description("Writes a model in a form that other programs read.")
    .addCommand(exportHfCommand())
    .addCommand(exportOnnxCommand())
    .addCommand(exportGgufCommand());
}
