// `neobert finetune KIND ...`: thin over the `finetune` functions of neobert/train.

import { Command } from "commander";
import { stringify } from "yaml";
import { InputError } from "../files/input-error.js";
import { classScoreLines } from "../train/classify/class-scores.js";
import { type ClassifyConfig, classifySchema, parseClassifyConfig } from "../train/classify/classify-config.js";
import { problemTypes } from "../train/classify/problem.js";
import { contrastiveSchema, loadContrastiveConfig } from "../train/contrastive/contrastive-config.js";
import { configReference } from "../train/run-file/run-file.js";
import { finetuneClassifier, finetuneContrastive } from "../train/worker/train-runs.js";
import { isStartedAgain } from "../train/world/launchers.js";
import { glueCommand, superglueCommand } from "./finetune-benchmark.js";
import { followRun, runFileCommand } from "./follow-run.js";
import { choice } from "./option-values.js";

export function finetuneCommand(): Command {
  return new Command("finetune")
    .description("Fine-tunes a model on pairs or labels.")
    .addCommand(contrastiveCommand())
    .addCommand(classifierCommand())
    .addCommand(glueCommand())
    .addCommand(superglueCommand());
}

function contrastiveCommand(): Command {
  return runFileCommand("finetune contrastive", contrastiveSchema, (file, overrides, { resume }) => {
    const config = loadContrastiveConfig(file, overrides);
    return followRun((options) => finetuneContrastive(config, { ...options, resume }));
  }).description("Makes an embedder of an encoder, on pairs of texts; runs/contrastive.yaml is the paper's run.");
}

type DataFlags = Partial<Record<keyof ClassifyConfig["data"], string | string[]>>;

interface ClassifyFlags extends DataFlags {
  out?: string;
  resume?: boolean;
  helpConfig?: boolean;
}

function classifierCommand(): Command {
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
    .option("--question <column>", "of answers: column of the question (default: question)")
    .option("--context <column>", "of answers: column of the text that has the answer (default: context)")
    .option(
      "--answers <column>",
      "of answers: column of SQuAD's { text, answer_start }, or of a text (default: answers)",
    )
    .option("--answer-start <column>", "of answers that are a text: column of its place (default: answer_start)")
    .option("--validation <file>", "held-out file (default: a tenth of the data)")
    .addOption(choice("--type <type>", "kind of labels; auto looks at the data", ["auto", ...problemTypes]))
    .option("--out <folder>", "run folder")
    .option("--resume", "go on from the run's latest checkpoint")
    .option("--help-config", "show every option")
    .action(runClassifier);
}

async function runClassifier(
  model: string | undefined,
  data: string | undefined,
  overrides: string[],
  flags: ClassifyFlags,
) {
  const { helpConfig, resume = isStartedAgain(process.env), out, ...columns } = flags;
  if (helpConfig) {
    console.log(configReference(classifySchema));
    return;
  }
  if (model === undefined || data === undefined || out === undefined) {
    const missing = model === undefined ? "a model" : data === undefined ? "a file of labelled texts" : "--out FOLDER";
    throw new InputError(
      `finetune classify: expected ${missing}, got none\nneobert finetune classify MODEL DATA --out FOLDER`,
    );
  }
  const yaml = stringify({ out, model: { from: model }, data: { train: data, ...columns } });
  const config = parseClassifyConfig(yaml, { file: "finetune classify", overrides });
  const { classScores } = await followRun((options) => finetuneClassifier(config, { ...options, resume }));
  if (classScores) console.log(["", ...classScoreLines(classScores)].join("\n"));
}
