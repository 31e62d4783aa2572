import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { taskTexts } from "./instructions.js";
import { promptOf } from "./model.js";
import { instructionsOf, type MtebTask, mtebTasks, selectTasks, taskOf } from "./mteb-tasks.js";

interface Fact {
  name: string;
  type: string;
  path?: string;
  revision: string;
  main_score: string;
  splits: string[];
  subsets: string[];
  prompt: string | { query: string } | null;
  abstask_prompt: string | null;
  samples_per_label?: number;
  ignore_identical_ids?: boolean;
  score_range?: [number, number];
  tasks?: Fact[];
}
const golden = new URL("../../../../../test/golden/mteb/tasks.json", import.meta.url);
const facts: Fact[] = JSON.parse(readFileSync(golden, "utf8")).tasks;
const parts = mtebTasks.flatMap(({ subtasks = [] }) => subtasks);

test("the table has the 56 tasks of mteb's MTEB(eng, v1), and CQADupstack its 12 parts", () => {
  expect(mtebTasks.map(({ name }) => name).sort()).toEqual(facts.map(({ name }) => name).sort());
  expect(new Set(mtebTasks.map(({ name }) => name)).size).toBe(56);
  expect(parts.length).toBe(12);
  const counts = new Map<string, number>();
  for (const { type } of mtebTasks) counts.set(type, (counts.get(type) ?? 0) + 1);
  expect(Object.fromEntries(counts)).toEqual({
    Classification: 12,
    Clustering: 11,
    PairClassification: 3,
    Reranking: 4,
    Retrieval: 15,
    STS: 10,
    Summarization: 1,
  });
});

test.each(facts.flatMap((fact) => [fact, ...(fact.tasks ?? [])]).map((fact) => [fact.name, fact] as const))(
  "%s is what mteb has",
  (name, fact) => {
    const task = [...mtebTasks, ...parts].find((task) => task.name === name)!;
    expect(task.type).toBe(fact.type);
    expect(task.hub!.revision).toBe(fact.revision);
    expect([task.split, task.subset, task.mainScore]).toEqual([...fact.splits, ...fact.subsets, fact.main_score]);
    if (fact.path) expect(task.hub!.name).toBe(fact.path);
    if (fact.tasks) expect(task.subtasks!.map(({ name }) => name)).toEqual(fact.tasks.map(({ name }) => name));
    else expect(task.hub!.revision).toMatch(/^[0-9a-f]{40}$/);
    if (fact.samples_per_label) expect(task.samplesPerLabel).toBe(fact.samples_per_label);
    if (fact.ignore_identical_ids !== undefined) expect(task.ignoreIdenticalIds).toBe(fact.ignore_identical_ids);
    if (fact.score_range) expect(task.scoreRange).toEqual(fact.score_range);
    const prompt = fact.prompt ?? fact.abstask_prompt ?? "";
    // An aggregate encodes nothing itself; mteb gives it no prompt.
    if (fact.tasks) return;
    const expected =
      typeof prompt === "string" ? { query: prompt, document: prompt } : { query: prompt.query, document: "" };
    expect(instructionsOf(task, "mteb")).toEqual(expected);
  },
);

test("every task has an instruction of the paper, whose corpus side differs in the last label alone", () => {
  for (const task of [...mtebTasks, ...parts]) {
    const { query, document } = instructionsOf(task, "paper");
    expect(query.length, task.name).toBeGreaterThan(20);
    if (task.type !== "Retrieval" && task.type !== "Reranking") expect(document).toBe(query);
    const sentence = (text: string) => text.slice(0, text.lastIndexOf("."));
    expect(sentence(document)).toBe(sentence(query));
  }
  const byName = (name: string) => instructionsOf(mtebTasks.find((task) => task.name === name)!, "paper");
  expect(byName("SciFact")).toEqual({
    query: "Given a scientific claim, retrieve documents that support or refute the claim . Claim: ",
    document: "Given a scientific claim, retrieve documents that support or refute the claim . Document: ",
  });
  expect(byName("MindSmallReranking").document).toMatch(/relevant news articles\. News article: $/);
  expect(byName("STS22").query).toBe("Retrieve semantically similar text.");
  expect(Object.keys(taskTexts).filter((name) => !mtebTasks.some((task) => task.name === name))).toEqual([]);
});

test("tasks are chosen by name and type; an unknown name is refused with the names like it", () => {
  expect(selectTasks({ tasks: ["STS12", "SciFact"] }).map(({ name }) => name)).toEqual(["SciFact", "STS12"]);
  expect(selectTasks({ types: ["Reranking"] }).length).toBe(4);
  expect(selectTasks({ tasks: ["CQADupstackTexRetrieval"] }).length).toBe(1);
  expect(() => selectTasks({ tasks: ["banking77"] })).toThrow("Did you mean Banking77Classification?");
});

test("the model's own prompts are looked for by mteb's names, the nearest first; queries differ in retrieval only", () => {
  const task = (type: MtebTask["type"]) => taskOf("Mine", type);
  const own = { source: "model", format: "" } as const;
  const prompts = { query: "q: ", passage: "p: ", STS: "s: ", "Retrieval-query": "rq: ", Mine: "m: " };
  const { Mine: _, ...general } = prompts;
  expect(promptOf(task("Retrieval"), "query", prompts, own)).toBe("m: ");
  expect(promptOf(task("Retrieval"), "query", general, own)).toBe("rq: ");
  expect(promptOf(task("Retrieval"), "document", general, own)).toBe("p: ");
  expect(promptOf(task("Reranking"), "query", general, own)).toBe("q: ");
  expect(promptOf(task("STS"), "query", general, own)).toBe("s: ");
  expect(promptOf(task("Clustering"), "query", general, own)).toBeUndefined();
});

test("instructions stand before the text as their source says, and none is no prompt at all", () => {
  const scifact = mtebTasks.find(({ name }) => name === "SciFact")!;
  const sts = mtebTasks.find(({ name }) => name === "STS12")!;
  const format = "Instruct: {instruction}\nQuery: ";
  expect(promptOf(sts, "query", {}, { source: "paper", format })).toBe("Retrieve semantically similar text. ");
  expect(promptOf(scifact, "query", {}, { source: "mteb", format })).toBe(
    "Instruct: Given a scientific claim, retrieve documents that support or refute the claim\nQuery: ",
  );
  expect(promptOf(scifact, "document", {}, { source: "mteb", format })).toBe("");
  expect(promptOf(scifact, "query", { query: "q: " }, { source: "none", format })).toBe("");
});
