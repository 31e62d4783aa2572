// Whole runs on small data of every type, with vectors made of the words' hashes.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { evaluateMteb, type MtebOptions } from "./evaluate-mteb.js";
import type { EncodeCall, TextEncoder } from "./model.js";
import { mtebTasks } from "./mteb-tasks.js";
import type { TaskResult } from "./result-file.js";

const D = 24;
/** A text's vector is the sum of its words', so that texts with words in common are alike. */
class WordModel implements TextEncoder {
  texts = 0;
  calls: EncodeCall[] = [];
  async encode(texts: readonly string[], call: EncodeCall = {}) {
    this.texts += texts.length;
    this.calls.push(call);
    const data = new Float32Array(texts.length * D);
    for (const [i, text] of texts.entries()) {
      for (const word of text.split(" ")) {
        const bytes = createHash("sha256").update(word).digest();
        for (let c = 0; c < D; c++) data[i * D + c]! += bytes[c]! / 128 - 1;
      }
    }
    return { data, shape: [texts.length, D] as const };
  }
}

const animals = ["cat", "dog", "owl", "bee"];
const tools = ["saw", "axe", "hoe", "awl"];
const phrase = (i: number, words: string[]) => `the ${words[i % 4]} ${words[(i >> 2) % 4]} number ${i}`;
const rows = (n: number, row: (i: number) => object) =>
  Array.from({ length: n }, (_, i) => `${JSON.stringify(row(i))}\n`).join("");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mteb-"));
  const labelled = (from: number) => (i: number) => ({
    text: phrase(from + i, i % 2 ? animals : tools),
    label: i % 2 ? "animal" : "tool",
  });
  writeFileSync(join(folder, "train.jsonl"), rows(40, labelled(0)));
  writeFileSync(join(folder, "test.jsonl"), rows(30, labelled(40)));
  writeFileSync(
    join(folder, "pairs.tsv"),
    Array.from(
      { length: 12 },
      (_, i) => `${phrase(i >> 1, animals)}\t${phrase(i + 1, i % 2 ? animals : tools)}\t${i % 2 ? 1 : 0}\n`,
    ).join(""),
  );
  writeFileSync(join(folder, "pairs.lines"), "cat dog|cat owl|3\nsaw axe|bee owl|0\nsaw axe|axe saw|5\n");
  writeFileSync(
    join(folder, "corpus.jsonl"),
    rows(20, (i) => ({ _id: `d${i}`, title: "on", text: phrase(i, i % 2 ? animals : tools) })),
  );
  writeFileSync(
    join(folder, "queries.jsonl"),
    rows(4, (i) => ({ _id: `q${i}`, text: `${animals[i]} ${animals[i]}` })),
  );
  writeFileSync(join(folder, "qrels.tsv"), "query-id\tcorpus-id\tscore\nq0\td1\t1\nq1\td5\t2\n");
  const summaries = (i: number) => ({
    refs: ["cat dog bee"],
    sums: ["cat dog", "saw", `owl ${i}`],
    scores: [
      [5, 4],
      [1, 2],
      [2, 3],
    ],
  });
  writeFileSync(join(folder, "summaries.jsonl"), rows(3, summaries));
  writeFileSync(
    join(folder, "data.yaml"),
    `Banking77Classification: { train: { files: train.jsonl }, test: { files: test.jsonl } }
SciFact: { corpus: { files: corpus.jsonl }, queries: { files: queries.jsonl }, qrels: { files: qrels.tsv } }
STS12:
  test:
    files: pairs.lines
    format: lines
    pattern: ^(?<a>[^|]*)\\|(?<b>[^|]*)\\|(?<s>\\d)$
    columns: { sentence1: a, sentence2: b, score: s }
own clusters: { type: Clustering, test: { files: train.jsonl, columns: { sentences: text, labels: label } } }
own pairs: { type: PairClassification, test: { files: pairs.tsv, header: false, columns: { sentence1: 0, sentence2: 1, labels: 2 } } }
own reranking: { type: Reranking, test: { files: pairs.tsv, header: false, columns: { query: 0, document: 1, label: 2 } } }
own summaries:
  type: Summarization
  test: { files: summaries.jsonl, columns: { human: refs, machine: sums, relevance: { mean: "scores[]" } } }
`,
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

const run = (model: TextEncoder, options: Partial<MtebOptions> = {}) =>
  evaluateMteb({
    model,
    about: { name: "acme/words" },
    data: join(folder, "data.yaml"),
    dataRoot: folder,
    out: join(folder, "out"),
    ...options,
  });
const result = (task: string): TaskResult =>
  JSON.parse(readFileSync(join(folder, "out/acme__words/no_revision_available", `${task}.json`), "utf8"));

test("every type of task is scored and written as mteb writes it", async () => {
  const { outcomes, folder: written } = await run(new WordModel());
  expect(outcomes.map(({ task, error }) => [task.name, error?.message])).toEqual(
    ["Banking77Classification", "SciFact", "STS12", "own clusters", "own pairs", "own reranking", "own summaries"].map(
      (name) => [name, undefined],
    ),
  );
  for (const { score } of outcomes) expect(score).toBeGreaterThan(0.2);
  expect(readdirSync(written!).sort()).toEqual(
    [...outcomes.map(({ task }) => `${task.name.replaceAll(" ", "_")}.json`), "model_meta.json", "neobert.json"].sort(),
  );
  const { scores, ...rest } = result("Banking77Classification");
  expect(rest).toEqual({
    dataset_revision: "0fd18e25b25c072e09e0d92ab615fda904d66300",
    task_name: "Banking77Classification",
    mteb_version: "1.34.14",
    evaluation_time: expect.any(Number),
    kg_co2_emissions: null,
  });
  const [entry] = scores.test!;
  expect(entry).toMatchObject({ hf_subset: "default", languages: ["eng-Latn"], main_score: entry!.accuracy });
  expect((entry!.scores_per_experiment as object[]).length).toBe(10);
});

test("parts run every n-th task into one folder, where the run without a part finds all results", async () => {
  const whole = await run(new WordModel(), { out: join(folder, "whole") });
  const of = 3;
  const names: string[] = [];
  for (const number of [2, 3, 1]) {
    const { outcomes } = await run(new WordModel(), { part: { number, of } });
    names.push(...outcomes.map(({ task }) => task.name));
  }
  expect(names).toHaveLength(whole.outcomes.length); // none twice
  const model = new WordModel();
  const merged = await run(model);
  expect(model.texts).toBe(0);
  expect(merged.outcomes.map(({ task, score, kept }) => [task.name, score, kept])).toEqual(
    whole.outcomes.map(({ task, score }) => [task.name, expect.closeTo(score!, 5), true]),
  );
  expect(merged.outcomes.every(({ timing }) => timing !== undefined)).toBe(true);
});

test("a second run takes the results that are there and asks the model nothing", async () => {
  const first = await run(new WordModel());
  const model = new WordModel();
  const second = await run(model);
  expect(model.texts).toBe(0);
  expect(second.outcomes.every(({ kept }) => kept)).toBe(true);
  const scores = ({ outcomes }: typeof first) => outcomes.map(({ score }) => score!.toFixed(5));
  expect(scores(second)).toEqual(scores(first));
});

test("a model of the same name with other weights is refused, and with force encodes anew", async () => {
  const modelOf = (weights: string) => {
    mkdirSync(join(folder, weights));
    writeFileSync(join(folder, weights, "model.safetensors"), weights);
    return Object.assign(new WordModel(), { folder: join(folder, weights) });
  };
  const [one, other] = [modelOf("first"), modelOf("second")];
  await run(one, { tasks: ["own pairs"] });
  await expect(run(other, { tasks: ["own pairs"] })).rejects.toThrow("expected results of the same model and settings");
  expect(other.texts).toBe(0);
  await run(other, { tasks: ["own pairs"], force: true });
  expect(other.texts).toBe(one.texts); // no vector of the first was taken for one of its own
});

test("what was encoded before a stop is not encoded again, and the scores are those of an unbroken run", async () => {
  const whole = new WordModel();
  const unbroken = await run(whole, { out: join(folder, "unbroken") });
  const stop = new AbortController();
  const broken = new WordModel();
  const encode: TextEncoder["encode"] = async (texts, call) => {
    if (broken.calls.length === 1) stop.abort(new Error("stopped")); // between training and test texts of the first task
    stop.signal.throwIfAborted();
    return broken.encode(texts, call);
  };
  await expect(run({ encode }, { signal: stop.signal })).rejects.toThrow("stopped");
  expect(broken.texts).toBeGreaterThan(0);
  const rest = new WordModel();
  const { outcomes } = await run(rest);
  expect(rest.texts + broken.texts).toBe(whole.texts);
  expect(outcomes.map(({ score }) => score!.toFixed(5))).toEqual(
    unbroken.outcomes.map(({ score }) => score!.toFixed(5)),
  );
});

test("--force computes again from the vectors that are kept; without a cache it encodes again", async () => {
  await run(new WordModel());
  const cached = new WordModel();
  expect((await run(cached, { force: true })).outcomes.some(({ kept }) => kept)).toBe(false);
  expect(cached.texts).toBe(0);
  const model = new WordModel();
  await run(model, { force: true, cache: false });
  expect(model.texts).toBeGreaterThan(0);
});

test("results of other weights or instructions are not taken for these", async () => {
  await run(new WordModel(), { settings: { weights: "aa" }, tasks: ["STS12"] });
  await expect(run(new WordModel(), { settings: { weights: "bb" } })).rejects.toThrow(
    /expected results of the same model and settings, got weights aa \(now bb\)\n.*`force`/,
  );
  await expect(run(new WordModel(), { settings: { weights: "aa" }, instructions: "paper" })).rejects.toThrow(
    "instructions model (now paper)",
  );
  const model = new WordModel();
  await run(model, { settings: { weights: "bb" }, tasks: ["own pairs"], force: true });
  expect(model.texts).toBeGreaterThan(0);
  expect(existsSync(join(folder, "out/acme__words/no_revision_available/STS12.json"))).toBe(false);
});

test("a task that fails is in the report with its reason, and the others go on", async () => {
  rmSync(join(folder, "pairs.lines"));
  const { outcomes } = await run(new WordModel(), { tasks: ["STS12", "SciFact", "own pairs"] });
  expect(outcomes.map(({ task, score }) => [task.name, score === undefined])).toEqual([
    ["SciFact", false],
    ["STS12", true],
    ["own pairs", false],
  ]);
  expect(outcomes[1]!.error!.message).toContain("pairs.lines: expected a file");
  expect(existsSync(join(folder, "out/acme__words/no_revision_available/STS12.json"))).toBe(false);
});

test.each<[type: string, parts: Record<string, object[]>, message: RegExp]>([
  [
    "STS",
    { test: [{ sentence1: "a", sentence2: "b", score: "x" }] },
    /test\.jsonl:1: score: expected a number, got "x"/,
  ],
  [
    "STS",
    { test: [{ sentence1: "a", sentence2: null, score: 1 }] },
    /test\.jsonl:1: sentence2: expected a text, got null/,
  ],
  [
    "Classification",
    {
      train: [{ text: "a", label: "x" }],
      test: [
        { text: "b", label: "x" },
        { text: "c", label: [1] },
      ],
    },
    /test\.jsonl:2: label: expected a text or a number as label, got \[1\]/,
  ],
  ["Clustering", { test: [{ sentences: ["a", 5], labels: ["x", "y"] }] }, /test\.jsonl:1: sentences: .* got 5/],
  ["Clustering", { test: [{ sentences: ["a", "b"], labels: ["x"] }] }, /test\.jsonl:1: expected as many .* got 2, 1/],
  [
    "PairClassification",
    {
      test: [
        { sentence1: "a", sentence2: "b", labels: 1 },
        { sentence1: ["c", "d"], sentence2: ["e", "f"], labels: [1] },
      ],
    },
    /test\.jsonl:2: expected as many of each of sentence1, sentence2, labels, got 2, 2, 1/,
  ],
  [
    "Reranking",
    { test: [{ query: "a", positive: "b", negative: [] }] },
    /test\.jsonl:1: positive: expected a list, got "b"/,
  ],
  ["Reranking", { test: [{ query: "a", document: 7, label: 1 }] }, /test\.jsonl:1: document: expected a text, got 7/],
  [
    "Summarization",
    { test: [{ human: ["a"], machine: ["b", "c"], relevance: [1] }] },
    /test\.jsonl:1: expected as many of each of machine, relevance, got 2, 1/,
  ],
  [
    "Retrieval",
    {
      corpus: [{ id: 1.5e300, text: "a" }],
      queries: [{ id: "q", text: "a" }],
      qrels: [{ query: "q", document: "1", score: 1 }],
    },
    /corpus\.jsonl:1: id: expected a text or a whole number/,
  ],
  [
    "Retrieval",
    {
      corpus: [],
      queries: [],
      qrels: [
        { query: "q", document: "1", score: 1 },
        { query: "q", document: "1", score: null },
      ],
    },
    /qrels\.jsonl:2: score: expected a number, got null/,
  ],
])("what is wrong in the data of a %s task is told with file, row and column", async (type, parts, message) => {
  const sources = Object.entries(parts).map(([part, list]) => {
    writeFileSync(
      join(folder, `${part}.jsonl`),
      rows(list.length, (i) => list[i]!),
    );
    const columns = Object.keys(list[0] ?? { id: 0, text: 0 }).map((name) => `${name}: ${name}`);
    return `${part}: { files: ${part}.jsonl, columns: { ${columns.join(", ")} } }`;
  });
  const data = join(folder, "wrong.yaml");
  writeFileSync(data, `mine: { type: ${type}, ${sources.join(", ")} }\n`);
  const { outcomes } = await run(new WordModel(), { data, out: undefined });
  expect(outcomes[0]!.error!.message).toMatch(message);
  expect(outcomes[0]!.error!.message).toMatch(/\n.+\.$/);
});

test("a model that gives no numbers fails its tasks", async () => {
  const nothing: TextEncoder = {
    encode: async (texts) => ({ data: new Float32Array(texts.length * 2).fill(Number.NaN), shape: [texts.length, 2] }),
  };
  const { outcomes } = await run(nothing, { tasks: ["STS12", "own pairs"], out: undefined });
  for (const { error } of outcomes)
    expect(error!.message).toMatch(/expected finite numbers, got NaN in the vector of "/);
});

test("prompts reach the model as the source of instructions says", async () => {
  const model = new WordModel();
  await run(model, { tasks: ["SciFact"], instructions: "paper" });
  expect(model.calls.map(({ prompt }) => prompt!.split(". ").at(-1)).sort()).toEqual(["Claim: ", "Document: "]);
  const plain = new WordModel();
  await run(plain, { tasks: ["SciFact"], out: undefined });
  expect(plain.calls.every((call) => !("prompt" in call))).toBe(true);
});

test("CQADupstack is the mean of its 12 parts, and has no score when one of them fails", async () => {
  const parts = mtebTasks.find(({ name }) => name === "CQADupstackRetrieval")!.subtasks!.map(({ name }) => name);
  const of = (names: string[]) =>
    names.map((name, i) => {
      writeFileSync(join(folder, `qrels${i}.tsv`), `query-id\tcorpus-id\tscore\nq${i % 4}\td${i}\t1\n`);
      return `${name}: { corpus: { files: corpus.jsonl }, queries: { files: queries.jsonl }, qrels: { files: qrels${i}.tsv } }\n`;
    });
  const data = join(folder, "cqa.yaml");
  writeFileSync(data, of(parts).join(""));
  const { outcomes } = await run(new WordModel(), { data, tasks: ["CQADupstackRetrieval"] });
  const scores = outcomes.slice(0, 12).map(({ score }) => score!);
  expect(new Set(scores).size).toBeGreaterThan(1);
  expect(outcomes[12]!.score).toBeCloseTo(scores.reduce((a, b) => a + b) / 12, 10);
  expect(result("CQADupstackRetrieval").dataset_revision).toBe("1");
  expect(Object.keys(result("CQADupstackRetrieval").scores.test![0]!)).toEqual([
    "ndcg_at_10",
    "main_score",
    "hf_subset",
    "languages",
  ]);
  rmSync(join(folder, "qrels3.tsv"));
  const broken = await run(new WordModel(), { data, tasks: ["CQADupstackRetrieval"], out: undefined });
  expect(broken.outcomes.at(-1)!.error!.message).toBe(
    `CQADupstackRetrieval: expected a score of each of its 12 parts, got none of ${parts[3]}`,
  );
});

test("a mapping file is refused with the key that is wrong in it", async () => {
  const refused = async (text: string, message: string | RegExp) => {
    writeFileSync(join(folder, "data.yaml"), text);
    await expect(run(new WordModel())).rejects.toThrow(message);
  };
  await refused("STS12: { test: { file: a.csv } }", /data\.yaml: STS12\.test.*\n.*files and columns/);
  await refused("mine: { test: { files: a.csv } }", "mine: expected a task of MTEB or a type, got neither");
  await refused(
    "mine: { type: Retrieval, corpus: { files: a.jsonl } }",
    "expected corpus, queries, qrels of a Retrieval task, got none for queries, qrels",
  );
  await refused("STS12: { scoreRange: [0, 1], test: { files: a.csv } }", "expected data alone for a task of MTEB");
  await refused("a: [", "expected YAML");
});
