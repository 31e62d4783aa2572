// The mapping file: which local files hold a task's data and in which columns, for machines without the Hub and for data
// sets of one's own, which are scored as MTEB's tasks of the same type are.
//   STSBenchmark:
//     test: { files: stsb/test.csv, header: false, columns: { sentence1: 0, sentence2: 1, score: 2 } }
//   my-search: { type: Retrieval, corpus: {...}, queries: {...}, qrels: {...} }

import { isAbsolute, join } from "node:path";
import { z } from "zod";
import { quoteStyles } from "../../data/read/records.js";
import { checked } from "../../files/checked.js";
import { readTextFile } from "../../files/input-file.js";
import { parseYaml } from "../../files/yaml.js";
import { type MtebTask, mtebTasks, partsOf, taskOf, taskTypes } from "./mteb-tasks.js";
import type { Source } from "./source.js";
import type { TaskSources } from "./task-data.js";

const key = z.union([z.string(), z.number().int().nonnegative()]).transform(String);
const column = z.union([key, z.strictObject({ mean: z.union([key, z.array(key).min(1)]) })]);
const source = z.strictObject({
  files: z.union([z.string().transform((file) => [file]), z.array(z.string()).min(1)]),
  format: z.enum(["jsonl", "json", "csv", "tsv", "parquet", "lines"]).optional(),
  header: z.boolean().optional(),
  quoted: z.boolean().optional(),
  quotes: z.enum(quoteStyles).optional(),
  pattern: z.string().optional(),
  skip: z.number().int().nonnegative().optional(),
  columns: z.record(z.string(), column).optional(),
  require: z.array(z.string()).optional(),
});
const part = z.union([source, z.array(source).min(1)]);
const entry = z.strictObject({
  type: z.enum(taskTypes).optional(),
  samplesPerLabel: z.number().int().positive().optional(),
  ignoreIdenticalIds: z.boolean().optional(),
  scoreRange: z.tuple([z.number(), z.number()]).optional(),
  train: part.optional(),
  test: part.optional(),
  corpus: part.optional(),
  queries: part.optional(),
  qrels: part.optional(),
});

export interface LocalData {
  /** Sources of the tasks that the file names. */
  sources: ReadonlyMap<string, TaskSources>;
  /** Tasks of the file that are not MTEB's. */
  own: readonly MtebTask[];
}

/** Reads a mapping file; its files are relative to `root`. Throws naming the key that is wrong. */
export function readLocalData(path: string, root = "."): LocalData {
  const parts = [...new Set(taskTypes.flatMap(partsOf))].join(", ");
  const mapping = checked(parseYaml(readTextFile(path), path), z.record(z.string(), entry), {
    where: path,
    wayOut: `A task has ${parts}, by its type, each with files and columns.`,
  });
  const sources = new Map<string, TaskSources>();
  const own: MtebTask[] = [];
  const known = new Map(mtebTasks.flatMap((task) => [task, ...(task.subtasks ?? [])]).map((task) => [task.name, task]));
  for (const [name, { type, train, test, corpus, queries, qrels, ...special }] of Object.entries(mapping)) {
    const where = `${path}: ${name}`;
    let task = known.get(name);
    if (task && (type || Object.keys(special).length > 0)) {
      throw new Error(
        `${where}: expected data alone for a task of MTEB, got settings too\nGive your own set another name.`,
      );
    }
    if (!task) {
      if (!type)
        throw new Error(`${where}: expected a task of MTEB or a type, got neither\nTypes: ${taskTypes.join(", ")}.`);
      task = taskOf(name, type, special as Partial<MtebTask>);
      own.push(task);
    }
    const given: Record<string, z.infer<typeof part> | undefined> = { train, test, corpus, queries, qrels };
    const wanted = partsOf(task.type);
    const missing = wanted.filter((name) => given[name] === undefined);
    if (missing.length > 0) {
      throw new Error(
        `${where}: expected ${wanted.join(", ")} of a ${task.type} task, got none for ${missing.join(", ")}`,
      );
    }
    const resolve = (part: string) => {
      const sides = [given[part]!].flat().map(({ files, columns, ...rest }): Source => {
        const paths = files.map((file) => (isAbsolute(file) ? file : join(root, file)));
        return { ...rest, files: paths, columns: columns ?? task.columns[part]! };
      });
      return sides.length === 1 ? sides[0]! : sides;
    };
    sources.set(name, Object.fromEntries(wanted.map((part) => [part, resolve(part)])));
  }
  return { sources, own };
}
