// The examples of a task's split: from the Hub's parquet files, or from a local folder, which may be a copy of the Hub's
// repository (`cola/train-00000-of-00001.parquet`) or the benchmark as it is handed out (`CoLA/train.tsv`, also gzipped).

import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { readRecords } from "../../data/read/records.js";
import { resolveDataset } from "../../hub/resolve.js";
import type { Benchmark, BenchmarkTask, Example, Split } from "./glue-task.js";

export interface BenchmarkData {
  /** Local folder; without it the Hub. */
  data?: string;
  offline?: boolean;
  signal?: AbortSignal;
}

/** The files of each part of a split, or undefined where the task or the folder has no such split. */
async function filesOf(
  benchmark: Benchmark,
  task: BenchmarkTask,
  split: Split,
  { data, ...hub }: BenchmarkData,
): Promise<{ files: string[][]; header: boolean } | undefined> {
  const parts = task.splits[split];
  if (!parts) return undefined;
  if (data === undefined) {
    const files = await Promise.all(parts.map((part) => hubFiles(benchmark.hub.name, task.id, part, hub)));
    return { files, header: true };
  }
  if (existsSync(join(data, task.id))) {
    const all = await resolveDataset(data, { files: parts.map((part) => `${task.id}/${part}-*.parquet`) });
    const files = parts.map((part) => all.filter((path) => basename(path).startsWith(`${part}-`)));
    if (files.every(({ length }) => length > 0)) return { files, header: true };
  }
  const { folder, files: names, withoutHeader = [] } = task.local;
  const found = (names[split] ?? []).map((name) => {
    const path = join(data, folder, name);
    return [path, `${path}.gz`].filter((path) => existsSync(path)).slice(0, 1);
  });
  if (found.length === 0 || found.some(({ length }) => length === 0)) return undefined;
  return { files: found, header: !withoutHeader.includes(split) };
}

/** Files of the main branch, or of the branch to which the Hub converts what was not parquet. */
async function hubFiles(name: string, config: string, part: string, options: Omit<BenchmarkData, "data">) {
  try {
    return await resolveDataset(name, { ...options, files: [`${config}/${part}-*.parquet`] });
  } catch (error) {
    if (!(error as Error).message.includes("expected files that match")) throw error;
    return resolveDataset(name, {
      ...options,
      revision: "refs/convert/parquet",
      files: [`${config}/${part}/*.parquet`],
    });
  }
}

/**
 * The examples of each part of a split (MNLI's validation has two), in the order of the files; undefined where there is
 * no such split. Throws naming the file and the row of what cannot be read.
 */
export async function loadExamples(
  benchmark: Benchmark,
  task: BenchmarkTask,
  split: Split,
  options: BenchmarkData = {},
): Promise<Example[][] | undefined> {
  const found = await filesOf(benchmark, task, split, options);
  if (!found) return undefined;
  const parts: Example[][] = [];
  for (const files of found.files) {
    const examples: Example[] = [];
    let number = 0;
    for (const file of files) {
      // QQP's own files have rows that were torn at a line break; the Hub leaves them out too.
      for await (const { record, where } of readRecords(file, { header: found.header, ragged: "skip" })) {
        options.signal?.throwIfAborted();
        try {
          for (const example of task.examples(record, number++)) examples.push({ ...example, where });
        } catch (error) {
          throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
        }
      }
    }
    parts.push(examples);
  }
  return parts;
}
