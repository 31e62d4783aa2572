// The options of a contrastive fine-tuning run. Defaults are the paper's (NeoBERT, 5.2.1 and appendix D: temperature, steps,
// mean pooling, one data set a batch) and, where it says nothing (batch, learning rate, length), those of its code.

import { existsSync } from "node:fs";
import { basename, extname } from "node:path";
import { z } from "zod";
import { quoteStyles } from "../../data/read/records.js";
import {
  checkOptimizer,
  checkSchedule,
  common,
  count,
  folder,
  optimizerSchema,
  resolveOptimizer,
  resolveSchedule,
  scheduleSchema,
} from "../run-file/common-options.js";
import { complaining } from "../run-file/complaints.js";
import { loadRunFile, type ParseOptions, parseRunFile, type RunFile } from "../run-file/run-file.js";
import { catalogue, paperSets } from "./catalogue.js";

/** `paper` is the paper's list, a name of it one set of it, any other text the path of a file; a map may extend a set. */
function expandSets(value: unknown): unknown {
  const list = value === "paper" ? paperSets : [value].flat();
  return list.map((entry) => {
    const given =
      typeof entry === "string" ? (Object.hasOwn(catalogue, entry) ? { paper: entry } : { path: entry }) : entry;
    if (typeof given !== "object" || given === null) return given;
    const { paper, ...own } = given as { paper?: string; path?: unknown; name?: string };
    if (paper === undefined) return { name: nameOf(own.path), ...own };
    return Object.hasOwn(catalogue, paper) ? { name: paper, ...catalogue[paper], ...own } : given;
  });
}

function nameOf(path: unknown): string {
  const [first] = [path].flat();
  const name = basename(typeof first === "string" ? first : "").replace(/\.(gz|zst)$/, "");
  return name.slice(0, name.length - extname(name).length) || "pairs";
}

const setSchema = z.strictObject({
  name: z.string().min(1).meta({ description: "Name in logs, and of its prompt", fallback: "the file's" }),
  paper: z.never().optional().meta({ description: "A set of the paper's list, which further keys change" }),
  path: z
    .union([folder, z.array(folder).min(1)])
    .optional()
    .describe("JSON lines, JSON, CSV, TSV or parquet: files, folders, patterns or `hf://datasets/OWNER/NAME/PATTERN`"),
  retrieval: z
    .strictObject({
      queries: folder.describe("Records with _id and text"),
      corpus: folder.describe("The same"),
      judgements: folder.describe("Records with query-id, corpus-id and score"),
    })
    .optional()
    .describe("A retrieval collection in place of `path`"),
  query: z.string().optional().meta({ description: "Column of the query; dots reach into it", fallback: "the first" }),
  positive: z.string().optional().meta({ description: "Column of the positive", fallback: "the second" }),
  negatives: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .meta({ description: "Columns of hard negatives, texts or lists of them", fallback: "those named `negative...`" }),
  header: z.boolean().default(true).describe("Whether CSV and TSV name their columns in the first line"),
  quotes: z
    .enum(quoteStyles)
    .optional()
    .meta({ description: "What double quotes are in CSV and TSV", fallback: "doubled in CSV, none in TSV" }),
  filter: z
    .strictObject({ column: z.string(), above: z.number() })
    .optional()
    .describe("Keep the rows whose number in `column` is above `above`"),
  limit: count.optional().describe("Rows to read at most"),
  maxNegatives: z.int().min(0).optional().describe("Hard negatives of a query at most; of more, some are drawn"),
  instruction: z.string().optional().meta({ description: "Put before each query", fallback: "`prompts.query`" }),
  documentInstruction: z
    .string()
    .optional()
    .meta({ description: "Put before each document", fallback: "`prompts.document`" }),
});

const sets = z.preprocess(expandSets, z.array(setSchema).min(1));

export const contrastiveSchema = z.strictObject({
  out: common.out,
  seed: common.seed.describe("Seed of data order and dropout"),
  model: z
    .preprocess(
      (value) => (typeof value === "string" ? { from: value } : value),
      z.strictObject({
        from: folder.describe("Model to fine-tune: a folder, a run's folder or a name on the Hub"),
        dropout: z
          .number()
          .min(0)
          .lt(1)
          .optional()
          .meta({ description: "Dropout everywhere in the encoder", fallback: "the model's" }),
      }),
    )
    .describe("Model: its name, or the keys below"),
  data: z.strictObject({
    train: sets.describe("Training sets: `paper`, names of its sets, files, or a list of the keys below"),
    validation: sets.optional().describe("Held-out sets for `evaluate`, likewise"),
    alpha: z.number().min(0).default(0.5).describe("A step's set is drawn with p ~ rows^alpha"),
  }),
  prompts: z
    .strictObject({ query: z.string().default(""), document: z.string().default("") })
    .prefault({})
    .describe("Put before texts of sets without an instruction, and saved with the model"),
  pooling: z.enum(["mean", "cls"]).default("mean").describe("A text's vector: the mean without the prompt, or [CLS]"),
  maxLength: z.int().min(3).default(512).describe("Tokens of the longest text; longer ones are cut"),
  steps: common.steps.default(2000),
  textsPerStep: z
    .int()
    .min(2)
    .default(128)
    .describe("Texts of a step: with k hard negatives a query, `textsPerStep` / (2 + k) queries, at least two"),
  microBatchTokens: count.default(16_384).describe("Tokens of a forward pass; more than one make a GradCache"),
  temperature: z.number().positive().default(0.07).describe("Divides the cosines"),
  negatives: z
    .enum(["own", "batch"])
    .default("own")
    .describe("Hard negatives that stand against a query: its own, or all of the batch"),
  dimensions: z
    .array(count)
    .default([])
    .describe("Matryoshka: lengths of vectors' beginnings that are trained to be vectors; none: the whole"),
  activationCheckpointing: common.activationCheckpointing,
  optimizer: optimizerSchema({ lr: 1e-4, weightDecay: 0.01 }),
  schedule: scheduleSchema({ name: "cosine", warmupSteps: 200 }),
  clipNorm: common.clipNorm,
  dtype: common.dtype,
  threads: common.threads,
  sharding: common.sharding,
  timeoutMinutes: common.timeoutMinutes,
  device: common.device,
  evaluate: z
    .strictObject({ everySteps: count.default(200).describe("Steps between evaluations on `data.validation`") })
    .prefault({})
    .describe("Held-out evaluation"),
  checkpoint: common.checkpoint,
  log: common.log,
});

/** A validated run with every default filled in. */
export type ContrastiveConfig = z.output<typeof contrastiveSchema>;

export const contrastiveFile: RunFile<ContrastiveConfig> = {
  schema: contrastiveSchema,
  check(run) {
    const { complaints, expect } = complaining();
    for (const part of ["train", "validation"] as const) {
      for (const [i, { path, retrieval }] of (run.data[part] ?? []).entries()) {
        const got = path === undefined ? "neither" : "both";
        const where = `data.${part}.${i}`;
        expect((path === undefined) !== (retrieval === undefined), where, `expected path or retrieval, got ${got}`);
        const missing = [path ?? []].flat().find((file) => /^[A-Z0-9]+$/.test(file) && !existsSync(file));
        expect(
          missing === undefined,
          where,
          `expected a file or a set of the paper's list, got ${missing}\nThe sets: ${Object.keys(catalogue).join(", ")}`,
        );
      }
    }
    expect(
      run.microBatchTokens >= run.maxLength,
      "microBatchTokens",
      `expected at least maxLength (${run.maxLength}), got ${run.microBatchTokens}`,
    );
    return [...complaints, ...checkOptimizer(run), ...checkSchedule(run)];
  },
  resolve(run) {
    const { query, document } = run.prompts;
    const withPrompts = (list: ContrastiveConfig["data"]["train"]) =>
      list.map((set) => ({
        ...set,
        instruction: set.instruction ?? query,
        documentInstruction: set.documentInstruction ?? document,
      }));
    const { train, validation, alpha } = run.data;
    const data = { train: withPrompts(train), ...(validation && { validation: withPrompts(validation) }), alpha };
    return { ...run, data, optimizer: resolveOptimizer(run.optimizer), schedule: resolveSchedule(run) };
  },
};

/** The run of a YAML text; see `parseRunFile`. */
export const parseContrastiveConfig = (yamlText: string, options: ParseOptions): ContrastiveConfig =>
  parseRunFile(contrastiveFile, yamlText, options);

/** The run of a file; see `loadRunFile`. */
export const loadContrastiveConfig = (path: string, overrides: readonly string[] = []): ContrastiveConfig =>
  loadRunFile(contrastiveFile, path, overrides);
