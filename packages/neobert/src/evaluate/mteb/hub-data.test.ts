// Layouts that data sets have on the Hub: configurations in the card, or names of files alone.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chooseFiles, configurationsOf, fetchHubData } from "./hub-data.js";
import { taskOf } from "./mteb-tasks.js";
import { readTaskData, type TaskData } from "./task-data.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hub-data-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string | object[]): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(
    join(folder, path),
    typeof text === "string" ? text : text.map((row) => `${JSON.stringify(row)}\n`).join(""),
  );
}
/** A task whose repository is the folder, read as its data. */
const load = async (task: ReturnType<typeof taskOf>) => readTaskData(task, await fetchHubData(task));
const hub = () => ({ name: folder, revision: "0".repeat(40) });

const card = (configs: string) => `---\nlanguage:\n- en\nconfigs:\n${configs}---\n# A data set\n`;

test("a retrieval set's corpus, queries and judgements are found by the card's configurations", async () => {
  write(
    "README.md",
    card(`- config_name: default
  data_files:
  - split: dev
    path: qrels/dev.jsonl
  - split: test
    path: qrels/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
`),
  );
  write("qrels/dev.jsonl", [{ "query-id": "q2", "corpus-id": "d1", score: 1 }]);
  write("qrels/test.jsonl", [{ "query-id": "q1", "corpus-id": "d2", score: 2 }]);
  write("corpus.jsonl", [
    { _id: "d1", title: "One", text: "first" },
    { _id: "d2", title: "", text: "second" },
  ]);
  write("queries.jsonl", [
    { _id: "q1", text: "which?" },
    { _id: "q2", text: "not judged in this split" },
  ]);
  const data = await load(taskOf("Find", "Retrieval", { hub: hub() }));
  const { corpus, ...rest } = data as Extract<TaskData, { type: "Retrieval" }>;
  expect(Array.from({ length: corpus.length }, (_, place) => [corpus.id(place), corpus.text(place)])).toEqual([
    ["d1", "One first"],
    ["d2", " second"],
  ]);
  expect(rest).toEqual({
    type: "Retrieval",
    queries: [{ id: "q1", text: "which?" }],
    judgements: new Map([["q1", new Map([["d2", 2]])]]),
  });
});

test("without configurations the names of files tell split, language and part", async () => {
  const paths = [
    "README.md",
    "amazon.py",
    "de/test.jsonl.gz",
    "en-ext/test.jsonl.gz",
    "en/test.jsonl.gz",
    "en/train.jsonl.gz",
    "en/validation.jsonl.gz",
  ];
  const choose = (all: string[], configuration: string, split: string) =>
    chooseFiles(all, [], { configuration, split });
  expect(choose(paths, "en", "test")).toEqual({ paths: ["en/test.jsonl.gz"], mixed: false });
  expect(choose(paths, "en", "dev").paths).toEqual(["en/validation.jsonl.gz"]);
  const parquet = [
    "data/train-00000-of-00001.parquet",
    "data/test-00000-of-00002.parquet",
    "data/test-00001-of-00002.parquet",
    "test.jsonl",
  ];
  expect(choose(parquet, "default", "test").paths).toEqual(parquet.slice(1, 3));
  const retrieval = [
    "corpus/corpus-00000-of-00001.parquet",
    "data/test-00000-of-00001.parquet",
    "queries/queries-00000-of-00001.parquet",
  ];
  expect(choose(retrieval, "default", "test").paths).toEqual([retrieval[1]]);
  expect(choose(retrieval, "queries", "any").paths).toEqual([retrieval[2]]);
  expect(choose(["test.jsonl.gz", "dataset_infos.json"], "en-en", "test")).toEqual({
    paths: ["test.jsonl.gz"],
    mixed: true,
  });
});

test("where one file holds all languages, the rows of the task's are taken", async () => {
  write("test.jsonl", [
    { sentence1: "a", sentence2: "b", score: 1, lang: "en" },
    { sentence1: "c", sentence2: "d", score: 2, lang: "de" },
  ]);
  const data = await load(taskOf("Alike", "STS", { hub: hub(), subset: "en" }));
  expect(data).toMatchObject({ sentences1: ["a"], sentences2: ["b"], scores: [1] });
});

test("a configuration may be a pattern, a list, or marked as the default", () => {
  const configurations = configurationsOf(
    card(
      "- config_name: all\n  default: true\n  data_files:\n  - split: test\n    path: [data/a-*, data/b.jsonl]\n- config_name: fr\n  data_files: fr/*.jsonl\n",
    ),
  );
  const all = ["data/a-1.jsonl", "data/a-2.jsonl", "data/b.jsonl", "data/c.jsonl", "fr/x.jsonl"];
  const choose = (configuration: string) => chooseFiles(all, configurations, { configuration, split: "test" }).paths;
  expect(choose("default")).toEqual(all.slice(0, 3));
  expect(choose("fr")).toEqual(["fr/x.jsonl"]);
});

test("pairs in one row of lists, as MTEB keeps them, and one pair a row read alike", async () => {
  const task = taskOf("Same", "PairClassification", { hub: hub() });
  write("test.jsonl", [{ sent1: ["a", "c"], sent2: ["b", "d"], labels: [1, 0] }]);
  const lists = await load(task);
  write("test.jsonl", [
    { sentence1: "a", sentence2: "b", labels: 1 },
    { sentence1: "c", sentence2: "d", labels: 0 },
  ]);
  expect(await load(task)).toEqual(lists);
  expect(lists).toMatchObject({ sentences1: ["a", "c"], labels: [1, 0] });
});

test("a repository without the split is refused with what it has", async () => {
  write("train.jsonl", [{ text: "a", label: 1 }]);
  const task = taskOf("Sort", "Classification", { hub: hub() });
  await expect(fetchHubData(task)).rejects.toThrow(/Sort: expected files of default, split test, .* got train\.jsonl/);
});
