// The benchmarks' data: what the paper says of tasks and settings, records of either origin, and the files that are handed
// in. Oracles: the paper's appendix C, the benchmarks' instructions, real rows of the benchmarks.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { parquetWriteFile } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { glue } from "./glue.js";
import { type Benchmark, type Split, taskOf } from "./glue-task.js";
import { fineTuningSchedule, gridPoints, grids, runLength } from "./grid.js";
import { loadExamples } from "./load-examples.js";
import { superglue } from "./superglue.js";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "neobert-glue-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

const loadPlaced = (benchmark: Benchmark, name: string, split: Split) =>
  loadExamples(benchmark, taskOf(benchmark, name), split, { data: root });
const load = async (...which: Parameters<typeof loadPlaced>) =>
  (await loadPlaced(...which))?.map((part) => part.map(({ where: _, ...example }) => example));

describe("the paper's settings", () => {
  test("the grid has 60 points, runs are 10 epochs and end after 15 evaluations without gain", () => {
    expect(gridPoints(grids.paper)).toHaveLength(5 * 6 * 2);
    expect(grids.paper).toMatchObject({ epochs: 10, patience: 15 });
    expect(gridPoints(grids.paper)[0]).toEqual({ batchSize: 2, learningRate: 5e-6, weightDecay: 1e-2 });
  });

  test("RTE, STS-B, MRPC and QNLI start from MNLI's best, and the average is over eight tasks without WNLI", () => {
    const starting = glue.tasks.filter(({ startsFromMnli }) => startsFromMnli).map(({ id }) => id);
    expect(starting.sort()).toEqual(["mrpc", "qnli", "rte", "stsb"]);
    const counted = glue.tasks.filter(({ isExtra }) => !isExtra).map(({ id }) => id);
    expect(counted.sort()).toEqual(["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"]);
    expect(superglue.tasks.filter(({ isExtra }) => !isExtra)).toHaveLength(8);
  });

  test("evaluations come ten times an epoch, at least every 500 steps, and no example is left out of an epoch", () => {
    expect(runLength(8551, 32, 10)).toEqual({ stepsPerEpoch: 268, steps: 2680, evaluateEverySteps: 26 });
    expect(runLength(392_702, 16, 10).evaluateEverySteps).toBe(500);
    expect(runLength(20, 8, 2)).toEqual({ stepsPerEpoch: 3, steps: 6, evaluateEverySteps: 1 });
  });

  test("the schedule warms up over 6 % of the steps and has fallen to a tenth at 90 %", () => {
    expect(fineTuningSchedule(1230)).toMatchObject({ warmupSteps: 74, decaySteps: 1107, finalRatio: 0.1 });
  });

  test("tasks are found by either name, and an unknown one names the known", () => {
    expect(taskOf(glue, "SST-2").id).toBe("sst2");
    expect(taskOf(superglue, "AX-b").id).toBe("axb");
    expect(() => taskOf(glue, "boolq")).toThrow("GLUE: expected one of the tasks cola, sst2");
  });
});

describe("GLUE's records", () => {
  test("CoLA as handed out: no header in train and dev, one in test, which has no labels", async () => {
    write(
      "CoLA/train.tsv",
      "gj04\t1\t\tThe sailors rode the breeze clear of the rocks.\nc-05\t0\t*\tBooks were sent to each other.\n",
    );
    write("CoLA/test.tsv", 'index\tsentence\n0\tBill whistled past the "house.\n');
    expect(await load(glue, "cola", "train")).toEqual([
      [
        { text: "The sailors rode the breeze clear of the rocks.", label: 1, id: 0 },
        { text: "Books were sent to each other.", label: 0, id: 1 },
      ],
    ]);
    expect(await load(glue, "cola", "test")).toEqual([[{ text: 'Bill whistled past the "house.', id: 0 }]]);
    expect((await loadPlaced(glue, "cola", "train"))![0]![1]!.where).toBe(join(root, "CoLA/train.tsv: record 2"));
    expect(await load(glue, "cola", "validation")).toBeUndefined();
  });

  test("MRPC's byte-order mark and column names, RTE's words and STS-B's scores are understood, gzipped too", async () => {
    write(
      "MRPC/dev.tsv",
      '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t3\t4\tHe said so .\t" So , " he said .\n',
    );
    expect(await load(glue, "mrpc", "validation")).toEqual([
      [{ text: "He said so .", pair: '" So , " he said .', label: 1, id: 0 }],
    ]);
    write("RTE/dev.tsv.gz", gzipSync("index\tsentence1\tsentence2\tlabel\n5\tIt rains.\tIt is dry.\tnot_entailment\n"));
    expect(await load(glue, "rte", "validation")).toEqual([
      [{ text: "It rains.", pair: "It is dry.", label: 1, id: 5 }],
    ]);
    write("STS-B/dev.tsv", "index\tsentence1\tsentence2\tscore\n0\tA man eats.\tA man is eating.\t4.750\n");
    expect((await load(glue, "stsb", "validation"))![0]![0]!.label).toBe(4.75);
  });

  test("QQP's torn rows are left out, as on the Hub", async () => {
    write(
      "QQP/train.tsv",
      "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhy?\tHow?\t0\n2\t4\tTorn\n3\t5\t6\tA?\tB?\t1\n",
    );
    expect((await load(glue, "qqp", "train"))![0]!.map(({ label }) => label)).toEqual([0, 1]);
  });

  test("a copy of the Hub's repository is read in parts: MNLI has two validation sets, and secret labels are -1", async () => {
    mkdirSync(join(root, "mnli"), { recursive: true });
    for (const [part, labels] of Object.entries({
      validation_matched: [2, 0],
      validation_mismatched: [1],
      test_matched: [-1],
      test_mismatched: [-1],
    })) {
      parquetWriteFile({
        filename: join(root, "mnli", `${part}-00000-of-00001.parquet`),
        columnData: [
          { name: "premise", data: labels.map(() => "It rains."), type: "STRING" },
          { name: "hypothesis", data: labels.map(() => "It is wet."), type: "STRING" },
          { name: "label", data: labels.map(BigInt), type: "INT64" },
          { name: "idx", data: labels.map((_, i) => 40 + i), type: "INT32" },
        ],
      });
    }
    const validation = await load(glue, "mnli", "validation");
    expect(validation!.map((part) => part.map(({ label }) => label))).toEqual([[2, 0], [1]]);
    const pair = { text: "It rains.", pair: "It is wet." };
    expect(await load(glue, "mnli", "test")).toEqual([[{ ...pair, id: 40 }], [{ ...pair, id: 40 }]]);
  });

  test("a label that the task does not have names file and record", async () => {
    write("WNLI/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t0\n1\tC.\tD.\t5\n");
    await expect(load(glue, "wnli", "validation")).rejects.toThrow(
      /dev\.tsv: record 2: expected a label of not_entailment, entailment, got "5"/,
    );
  });
});

describe("GLUE's answers are handed in as it wants them", () => {
  const examples = [0, 1].map((id) => ({ text: "", id: 10 + id }));
  const format = (name: string, predictions: number[]) => taskOf(glue, name).submission.format(examples, predictions);

  test("numbers for most tasks, words for the entailment tasks, similarities from 0 to 5, rows counted from 0", () => {
    expect(format("cola", [1, 0])).toBe("index\tprediction\n0\t1\n1\t0\n");
    expect(format("rte", [1, 0])).toBe("index\tprediction\n0\tnot_entailment\n1\tentailment\n");
    expect(format("mnli", [1, 2])).toBe("index\tprediction\n0\tneutral\n1\tcontradiction\n");
    expect(format("stsb", [5.4, -0.2])).toBe("index\tprediction\n0\t5.000\n1\t0.000\n");
    expect(format("wnli", [1, 0])).toBe("index\tprediction\n0\t1\n1\t0\n");
  });

  test("eleven files make a submission", () => {
    const files = glue.tasks.flatMap(({ submission }) => submission.files);
    const names = "AX CoLA MNLI-m MNLI-mm MRPC QNLI QQP RTE SST-2 STS-B WNLI".split(" ");
    expect(files.toSorted()).toEqual(names.map((name) => `${name}.tsv`));
  });
});

describe("SuperGLUE's records, of the Hub and as handed out, become the same examples", () => {
  const examplesOf = (name: string, record: Record<string, unknown>) => taskOf(superglue, name).examples(record, 0);

  test("BoolQ, CB and RTE", () => {
    const boolq = { question: "is it so", passage: "It is.", idx: 3 };
    expect(examplesOf("boolq", { ...boolq, label: true })).toEqual(examplesOf("boolq", { ...boolq, label: 1 }));
    expect(examplesOf("boolq", { ...boolq, label: true })).toEqual([
      { text: "is it so", pair: "It is.", label: 1, id: 3 },
    ]);
    const cb = { premise: "P", hypothesis: "H", idx: 1 };
    expect(examplesOf("cb", { ...cb, label: "contradiction" })).toEqual(examplesOf("cb", { ...cb, label: 1 }));
    expect(examplesOf("rte", { ...cb, label: "not_entailment" })).toEqual(examplesOf("rte", { ...cb, label: 1 }));
  });

  test("COPA asks by cause or effect, one pair a choice", () => {
    const copa = { premise: "The chandelier shattered.", choice1: "It dropped.", choice2: "It flickered.", idx: 249 };
    expect(examplesOf("copa", { ...copa, question: "cause", label: 0 })).toEqual([
      {
        text: "The chandelier shattered. What was the cause of this?",
        pair: "It dropped.",
        label: 1,
        id: 249,
        group: 0,
        candidate: "0",
      },
      {
        text: "The chandelier shattered. What was the cause of this?",
        pair: "It flickered.",
        label: 0,
        id: 249,
        group: 0,
        candidate: "1",
      },
    ]);
    expect(examplesOf("copa", { ...copa, question: "effect" })[0]).not.toHaveProperty("label");
  });

  test("MultiRC's nested questions are the Hub's flat rows", () => {
    const nested = {
      idx: 4,
      passage: {
        text: "T",
        questions: [
          {
            idx: 2,
            question: "Q?",
            answers: [
              { idx: 0, text: "A", label: 1 },
              { idx: 1, text: "B", label: 0 },
            ],
          },
        ],
      },
    };
    const flat = ["A", "B"].flatMap((answer, i) =>
      examplesOf("multirc", {
        paragraph: "T",
        question: "Q?",
        answer,
        label: 1 - i,
        idx: { paragraph: 4, question: 2, answer: i },
      }),
    );
    expect(examplesOf("multirc", nested)).toEqual(flat);
    expect(flat[1]).toEqual({ text: "T Q?", pair: "B", label: 0, id: 4, path: [4, 2, 1] });
  });

  test("ReCoRD puts each entity once into the query", () => {
    const text = "Ann met Bob. Ann left.";
    const nested = {
      passage: {
        text,
        entities: [
          { start: 0, end: 2 },
          { start: 8, end: 10 },
          { start: 13, end: 15 },
        ],
      },
      qas: [{ idx: 0, query: "@placeholder left", answers: [{ start: 0, end: 2, text: "Ann" }] }],
    };
    const flat = {
      passage: text,
      query: "@placeholder left",
      entities: ["Ann", "Bob"],
      answers: ["Ann"],
      idx: { passage: 0, query: 0 },
    };
    expect(examplesOf("record", nested)).toEqual(examplesOf("record", flat));
    expect(examplesOf("record", flat).map(({ pair, label }) => [pair, label])).toEqual([
      ["Ann left", 1],
      ["Bob left", 0],
    ]);
  });

  test("WiC and WSC tell which word and which spans are meant", () => {
    expect(examplesOf("wic", { word: "feel", sentence1: "A.", sentence2: "B.", idx: 1, label: false })).toEqual([
      { text: "feel: A.", pair: "B.", label: 0, id: 1 },
    ]);
    const spans = { span1_index: 1, span1_text: "old cat", span2_index: 6, span2_text: "it" };
    const text = "The old cat slept because then it was tired.";
    const [one] = examplesOf("wsc", { text, target: spans, idx: 0, label: true });
    expect(one!.text).toBe("The * old cat * slept because then _ it _ was tired.");
    expect(examplesOf("wsc", { text, ...spans, idx: 0, label: 1 })).toEqual([one]);
  });

  test("answers are JSON lines with the benchmark's own words", () => {
    const format = (name: string, examples: object[], predictions: number[]) =>
      taskOf(superglue, name)
        .submission.format(examples as never, predictions)
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    const two = [{ id: 5 }, { id: 6 }];
    expect(format("boolq", two, [1, 0])).toEqual([
      { idx: 5, label: "true" },
      { idx: 6, label: "false" },
    ]);
    expect(format("wsc", two, [1, 0])[0]).toEqual({ idx: 5, label: "True" });
    expect(format("cb", two, [1, 2])[0]).toEqual({ idx: 5, label: "contradiction" });
    const candidates = [
      { id: 8, candidate: "0" },
      { id: 8, candidate: "1" },
    ];
    expect(format("copa", candidates, [0, 1])).toEqual([{ idx: 8, label: 1 }]);
    expect(
      format(
        "record",
        [
          { id: 3, candidate: "Ann" },
          { id: 3, candidate: "Bob" },
        ],
        [1, 0],
      ),
    ).toEqual([{ idx: 3, label: "Ann" }]);
    expect(format("multirc", [{ path: [1, 2, 0] }, { path: [1, 2, 1] }], [0, 1])).toEqual([
      {
        idx: 1,
        passage: {
          questions: [
            {
              idx: 2,
              answers: [
                { idx: 0, label: 0 },
                { idx: 1, label: 1 },
              ],
            },
          ],
        },
      },
    ]);
  });
});
