// `neobert finetune classify MODEL DATA [key=value ...]`: thin over `finetuneClassifier` of neobert/train.

import { Command, Option } from "commander";
import { stringify } from "yaml";
import { classifySchema, parseClassifyConfig } from "../train/classify/classify-config.js";
import { finetuneClassifier } from "../train/classify/finetune-classifier.js";
import { configReference } from "../train/run-file/config-reference.js";
import { followRun } from "./follow-run.js";

interface ClassifyFlags {
  text?: string;
  label?: string[];
  pair?: string;
  validation?: string;
  type?: string;
  out?: string;
  resume?: boolean;
  helpConfig?: boolean;
}

export function finetuneClassifyCommand(): Command {
  return new Command("classify")
    .summary("learn the labels of an own file")
    .description("Makes a classifier of a model, on a labelled file: JSON lines, JSON, CSV, TSV or parquet.")
    .argument("[model]", "model folder, run folder, or name on the Hub")
    .argument("[data]", "file of labelled texts")
    .argument("[key=value...]", "further options, such as epochs=5 optimizer.lr=1e-5")
    .option("--text <column>", "column of the text, or of a list of words (default: text)")
    .option(
      "--label <column>",
      "column of the label or labels (default: label); several times: columns of 0 and 1, one for each label",
      (column: string, others: string[] = []) => [...others, column],
    )
    .option("--pair <column>", "column of a second text")
    .option("--validation <file>", "held-out file (default: a tenth of the data)")
    .addOption(
      new Option("--type <type>", "kind of labels; auto looks at the data").choices([
        "auto",
        "single",
        "multi",
        "regression",
        "tokens",
      ]),
    )
    .option("--out <folder>", "run folder")
    .option("--resume", "go on from the run's latest checkpoint")
    .option("--help-config", "show every option")
    .action(run);
}

async function run(model: string | undefined, data: string | undefined, overrides: string[], flags: ClassifyFlags) {
  const { helpConfig, resume = false, out, ...columns } = flags;
  if (helpConfig) {
    console.log(configReference(classifySchema));
    return;
  }
  if (model === undefined || data === undefined || out === undefined) {
    const missing = model === undefined ? "a model" : data === undefined ? "a file of labelled texts" : "--out FOLDER";
    throw new Error(
      `finetune classify: expected ${missing}, got none\nneobert finetune classify MODEL DATA --out FOLDER`,
    );
  }
  const yaml = stringify({ out, model: { from: model }, data: { train: data, ...columns } });
  const config = parseClassifyConfig(yaml, { file: "finetune classify", overrides });
  await followRun((options) => finetuneClassifier(config, { ...options, resume }));
}
