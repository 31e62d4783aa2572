// A task's files on the Hub. Repositories say in their README which files belong to which configuration and split
// (`configs:`); where one does not, or was made for a loading script, which we do not run, the names of its files tell.

import { basename } from "node:path";
import { z } from "zod";
import { sourceFormat } from "../../data/read/read-files.js";
import { checked } from "../../files/checked.js";
import { globToRegExp } from "../../files/glob.js";
import { readTextFile } from "../../files/input-file.js";
import { parseYaml } from "../../files/yaml.js";
import { type HubOptions, resolveDataset } from "../../hub/resolve.js";
import { type MtebTask, partsOf } from "./mteb-tasks.js";
import type { Source } from "./source.js";
import type { TaskSources } from "./task-data.js";

/** Which files of a data set: a configuration and a split; "any" where a configuration has one split of any name. */
export interface Wanted {
  configuration: string;
  split: string;
}

interface Chosen {
  paths: string[];
  /** Whether the files hold other configurations too, told apart by a column. */
  mixed: boolean;
}

/** Downloads what the task needs into the cache that Python shares. Rejects naming what the repository has instead. */
export async function fetchHubData(task: MtebTask, options: HubOptions = {}): Promise<TaskSources> {
  const { name, revision } = task.hub!;
  const where = { ...options, revision };
  let all: string[] = [];
  const about = await resolveDataset(name, {
    ...where,
    files: (paths) => {
      all = paths;
      const readme = paths.filter((path) => path === "README.md");
      return readme.length > 0 ? readme : paths.slice(0, 1);
    },
  });
  const readme = about.find((path) => basename(path) === "README.md");
  const configurations = readme === undefined ? [] : configurationsOf(readTextFile(readme), readme);
  const sources: Record<string, Source> = {};
  for (const part of partsOf(task.type)) {
    const wanted = wantedOf(task, part);
    const { paths, mixed } = chooseFiles(all, configurations, wanted);
    if (paths.length === 0) {
      throw new Error(
        `${task.name}: expected files of ${wanted.configuration}, split ${wanted.split}, in the data set ${name} at ${revision}, got ${all.join(", ")}\n` +
          "Name the task's files in a mapping file (`data`).",
      );
    }
    const files = await resolveDataset(name, { ...where, files: () => [...paths] });
    sources[part] = { files, columns: task.columns[part]!, only: mixed ? { lang: task.subset } : undefined };
  }
  return sources;
}

function wantedOf(task: MtebTask, part: string): Wanted {
  if (part === "corpus" || part === "queries") return { configuration: part, split: "any" };
  return { configuration: task.subset, split: part === "train" ? "train" : task.split };
}

interface Configuration {
  name: string;
  isDefault: boolean;
  files: { split: string; patterns: string[] }[];
}

const dataFile = z.union([
  z.string(),
  z.looseObject({ split: z.string().nullish(), path: z.union([z.string(), z.array(z.string())]) }),
]);
const cardSchema = z.looseObject({
  configs: z
    .array(
      z.looseObject({
        config_name: z.union([z.string(), z.number(), z.bigint(), z.boolean()]).nullish(),
        data_files: z.union([dataFile, z.array(dataFile)]).nullish(),
        default: z.unknown().optional(),
      }),
    )
    .nullish()
    .transform((configs) => configs ?? undefined),
});

/** The `configs` of a data set's card. Throws naming `where` where they are of another form. */
export function configurationsOf(readme: string, where = "README.md"): Configuration[] {
  const [, header] = /^---\r?\n([\s\S]*?)\r?\n---/.exec(readme) ?? [];
  const { configs = [] } = checked(
    header === undefined ? {} : parseYaml(header, where, { intAsBigInt: true }),
    cardSchema,
    { where, wayOut: "Name the task's files in a mapping file (--data)." },
  );
  return configs.map(({ config_name, data_files, default: isDefault }) => ({
    name: String(config_name),
    isDefault: isDefault === true || config_name === "default",
    files: [data_files ?? []]
      .flat()
      .map((entry) =>
        typeof entry === "string"
          ? { split: "any", patterns: [entry] }
          : { split: entry.split ?? "any", patterns: [entry.path].flat() },
      ),
  }));
}

/** The paths that hold a configuration's split, by the card's configurations or by the paths' names. */
export function chooseFiles(all: readonly string[], configurations: readonly Configuration[], wanted: Wanted): Chosen {
  const own = configurations.find(({ name }) => name === wanted.configuration);
  const named =
    own ?? (wanted.configuration === "default" ? configurations.find(({ isDefault }) => isDefault) : undefined);
  if (named) {
    const patterns = named.files
      .filter(({ split }) => wanted.split === "any" || split === "any" || split === wanted.split)
      .flatMap(({ patterns }) => patterns.map(globToRegExp));
    const paths = all.filter((path) => patterns.some((pattern) => pattern.test(path)));
    if (paths.length > 0) return { paths, mixed: false };
  }
  return chooseByName(all, wanted);
}

const splitNames: Record<string, string> = {
  train: "train|training",
  test: "test|testing|eval|evaluation",
  dev: "dev|development|valid|validation",
};
// Where a configuration is a part of the name, of what remains the default's files must not be.
const otherParts = ["corpus", "queries"];

function chooseByName(all: readonly string[], { configuration, split }: Wanted): Chosen {
  // Shards are NAME-00000-of-00003; otherwise a dash is a part of the name (en-ext is not en).
  const has = (names: string) => {
    const word = new RegExp(`(^|[/._])(${names})(?=$|[/._]|-\\d+-of)`, "i");
    return (path: string) => word.test(path);
  };
  const data = all.filter((path) => {
    const format = sourceFormat(path);
    return format !== null && format !== "text" && !/(^|\/)(dataset_infos|config|state)\.json$/.test(path);
  });
  const ofSplit = split === "any" ? data : data.filter(has(splitNames[split] ?? split));
  if (configuration !== "default") {
    const paths = ofSplit.filter(has(configuration));
    return paths.length > 0 ? { paths: oneFormat(paths), mixed: false } : { paths: oneFormat(ofSplit), mixed: true };
  }
  return { paths: oneFormat(ofSplit.filter((path) => !otherParts.some((part) => has(part)(path)))), mixed: false };
}

/** The same rows may lie there in several formats: the first of these that is there counts. */
function oneFormat(paths: readonly string[]): string[] {
  for (const format of ["parquet", "jsonl", "json", "csv", "tsv"]) {
    const found = paths.filter((path) => sourceFormat(path) === format);
    if (found.length > 0) return found;
  }
  return [];
}
