// Oracles: files written here, an epoch's rows counted, the published divisors of the paper's code.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { wordsText, writeSmallModel } from "../../encoder/fixture-encoder.js";
import { robertaTokenizerJSON } from "../../tokenizer/json/roberta-json.js";
import { robertaSpecialTokens } from "../../tokenizer/tokenizer.js";
import { catalogue, paperSets } from "./catalogue.js";
import { parseContrastiveConfig } from "./contrastive-config.js";
import {
  createPairBatches,
  drawingShares,
  type PairBatch,
  type PairBatchOptions,
  type PairSet,
} from "./pair-batches.js";
import { PairStore } from "./pair-store.js";
import { type PairSource, readPairs } from "./read-pairs.js";

let root: string;
let tokenizer: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "neobert-pairs-"));
  tokenizer = await writeSmallModel();
});
afterAll(() => {
  rmSync(root, { recursive: true });
  rmSync(tokenizer, { recursive: true });
});

const written = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(root, name), content);
  return join(root, name);
};
const lines = (rows: object[]) => rows.map((row) => JSON.stringify(row)).join("\n");
async function rowsOf(source: Omit<PairSource, "name">) {
  const rows = [];
  for await (const { where: _, ...row } of readPairs({ name: "test", ...source })) rows.push(row);
  return rows;
}

describe("rows of files", () => {
  const triplet = { query: "q", positive: "p", negatives: ["n"] };

  test("JSON lines, CSV and parquet give the same rows: first column, second, and those named negative", async () => {
    const row = { anchor: "q", positive: "p", negative: "n" };
    const columnData = Object.entries(row).map(([name, value]) => ({ name, data: [value] }));
    const files = [
      written("a.jsonl", lines([row])),
      written("a.csv", "anchor,positive,negative\nq,p,n\n"),
      written("a.parquet", new Uint8Array(parquetWriteBuffer({ columnData }))),
    ];
    for (const path of files) expect(await rowsOf({ path }), path).toEqual([triplet]);
    expect(await rowsOf({ path: files })).toEqual([triplet, triplet, triplet]);
  });

  test("any number of negatives: lists, numbered columns, dotted columns, and a row inside one object", async () => {
    const nested = { set: { query: "q", pos: ["p", "other"], neg: ["1", "2", "3"] } };
    const path = written("nested.jsonl", lines([nested]));
    expect(await rowsOf({ path, query: "query", positive: "pos", negatives: "neg" })).toEqual([
      { query: "q", positive: "p", negatives: ["1", "2", "3"] },
    ]);
    const numbered = written("numbered.jsonl", lines([{ q: "q", a: "p", negative_1: "1", negative_2: "2" }]));
    expect((await rowsOf({ path: numbered }))[0]!.negatives).toEqual(["1", "2"]);
    const dotted = written(
      "dotted.jsonl",
      lines([{ q: "q", paras: [{ text: "p" }], bad: [{ text: "1" }, { text: "2" }] }]),
    );
    expect(await rowsOf({ path: dotted, query: "q", positive: "paras.text", negatives: "bad.text" })).toEqual([
      { query: "q", positive: "p", negatives: ["1", "2"] },
    ]);
    const pairs = written("set.jsonl", lines([{ set: ["long", "short"] }]));
    expect(await rowsOf({ path: pairs, query: "set.1", positive: "set.0" })).toEqual([
      { query: "short", positive: "long", negatives: [] },
    ]);
  });

  test("of a set with scores only the pairs above the bound are positives", async () => {
    const scored = [5, 4.2, 4, 0].map((score, i) => ({ sentence1: `a${i}`, sentence2: `b${i}`, score }));
    const path = written("scored.jsonl", lines(scored));
    const rows = await rowsOf({ ...catalogue.STSBENCHMARK!, path });
    expect(rows.map(({ query }) => query)).toEqual(["a0", "a1"]);
    expect(catalogue.STS12!.filter).toEqual({ column: "score", above: 4 });
  });

  test("a retrieval collection gives a row for each relevant document", async () => {
    const retrieval = {
      queries: written(
        "queries.jsonl",
        lines([
          { _id: "1", text: "one" },
          { _id: "2", text: "two" },
        ]),
      ),
      corpus: written(
        "corpus.jsonl",
        lines(["a", "b", "c"].map((id) => ({ _id: id, title: "t", text: `text ${id}` }))),
      ),
      judgements: written("train.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n1\tc\t2\n2\tb\t0\n"),
    };
    expect(await rowsOf({ retrieval })).toEqual([
      { query: "one", positive: "text a", negatives: [] },
      { query: "one", positive: "text c", negatives: [] },
    ]);
  });

  test("a missing column names the file, the row and the columns there are; rows without a positive are left out", async () => {
    const path = written(
      "odd.jsonl",
      lines([
        { q: "a", p: "" },
        { q: "b", p: null },
        { q: "c", p: "d" },
      ]),
    );
    expect(await rowsOf({ path })).toEqual([{ query: "c", positive: "d", negatives: [] }]);
    await expect(rowsOf({ path, positive: "answer" })).rejects.toThrow(
      /odd.jsonl:1: expected a column answer, got q, p/,
    );
    const turned = written("turned.jsonl", lines([{ q: "a", p: "b" }, { p: "d", q: "c" }, { p: "e" }]));
    expect((await rowsOf({ path: turned, limit: 2 })).map(({ query, positive }) => [query, positive])).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    await expect(rowsOf({ path: turned })).rejects.toThrow(/turned\.jsonl:3: expected a column q, got p\n/);
    const number = written("number.jsonl", lines([{ q: "a", p: 3 }]));
    await expect(rowsOf({ path: number })).rejects.toThrow(/expected text in column p, got number/);
  });

  test("the store gives back every row, whatever its characters and length", async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => {
      return {
        query: `q${i} \u{1F600}`,
        positive: "ü".repeat(i % 7),
        negatives: Array.from({ length: i % 4 }, (_, n) => `n${n}`),
        where: i < 1500 ? `/a/2.jsonl:${2 * i + 1}` : `/b 7/rows.csv: record ${i - 1499}`,
      };
    });
    const store = await PairStore.of(
      (async function* () {
        yield* rows;
      })(),
    );
    expect(store.length).toBe(3000);
    expect(store.maxNegatives).toBe(3);
    for (const i of [0, 1, 255, 256, 1023, 1499, 1500, 2999]) {
      expect({ ...store.row(i), where: store.where(i) }).toEqual(rows[i]);
    }
  });
});

function setOf(name: string, count: number, negatives = 0, changes: Partial<PairSet> = {}): PairSet {
  const rows = Array.from({ length: count }, (_, i) => {
    return {
      q: `${name} ${i}`,
      p: wordsText(4, i),
      negatives: Array.from({ length: negatives }, (_, n) => wordsText(3, i + n)),
    };
  });
  return { name, path: written(`${name}.jsonl`, lines(rows)), instruction: "", documentInstruction: "", ...changes };
}

const options = (sets: PairSet[], changes: Partial<PairBatchOptions> = {}): PairBatchOptions => {
  const limits = { maxLength: 32, textsPerStep: 8, microBatchTokens: 10_000 };
  return { sets, tokenizer, ...limits, alpha: 0.5, negatives: "own", seed: 3, ...changes };
};

describe("batches", () => {
  test("a step's rows are of one set, and a set is drawn with p ~ n^0.5", async () => {
    expect(drawingShares([900, 100], 0.5)).toEqual([0.75, 0.25]);
    const batches = await createPairBatches(options([setOf("large", 90), setOf("small", 10)]));
    const counts: Record<string, number> = { large: 0, small: 0 };
    for (let step = 0; step < 400; step++) counts[(await batches.nextStep()).microBatches[0]!.set]!++;
    expect(counts.large! / 400).toBeGreaterThan(0.68);
    expect(counts.large! / 400).toBeLessThan(0.82);
  });

  test("an epoch gives every row once, then all again in another order", async () => {
    const batches = await createPairBatches(options([setOf("epoch", 20)]));
    const rows: number[] = [];
    for (let step = 0; step < 10; step++) rows.push(...(await batches.nextStep()).microBatches[0]!.rows);
    const [first, second] = [rows.slice(0, 20), rows.slice(20, 40)];
    const all = Array.from({ length: 20 }, (_, i) => i);
    expect(first.toSorted((a, b) => a - b)).toEqual(all);
    expect(second.toSorted((a, b) => a - b)).toEqual(all);
    expect(first).not.toEqual(second);
  });

  test("a text that no token stands for, or one that the model does not know, is named with its file and row", async () => {
    const bare = join(root, "bare-tokenizer");
    mkdirSync(bare, { recursive: true });
    const json = JSON.parse(readFileSync(join(tokenizer, "tokenizer.json"), "utf8"));
    writeFileSync(join(bare, "tokenizer.json"), JSON.stringify({ ...json, post_processor: null }));
    const other = written("before.jsonl", lines([{ q: "war", p: "peace" }]));
    const rows = [
      { q: "people", p: "people" },
      { q: "law", p: "\u200b" },
    ];
    const path = [other, written("empty.jsonl", `\n${lines(rows)}`)];
    const set = { ...setOf("unused", 1), path };
    const refused = (changes: Partial<PairBatchOptions>) =>
      createPairBatches(options([set], changes)).then((batches) => batches.allBatches());
    await expect(refused({ tokenizer: bare })).rejects.toThrow(
      `${path[1]}:3: expected a text that has tokens, got "\u200b"\n`,
    );
    const rowsOfModel = json.model.vocab.law;
    await expect(refused({ vocabSize: rowsOfModel })).rejects.toThrow(
      `${path[1]}:3 ("law"): expected tokens with ids below the model's vocab_size ${rowsOfModel}, got law, id ${rowsOfModel}\n`,
    );
  });

  test("white space at a text's ends reaches the tokenizer, with and without an instruction, as in encoding", async () => {
    const bytes = join(root, "byte-tokenizer");
    mkdirSync(bytes, { recursive: true });
    const vocab = Object.fromEntries(
      ["<s>", "</s>", "<pad>", "a", "b", "q", ":", "\u0120", "\u010a"].map((t, i) => [t, i]),
    );
    const json = robertaTokenizerJSON({ vocab, merges: [], specialTokens: robertaSpecialTokens });
    writeFileSync(join(bytes, "tokenizer.json"), JSON.stringify(json));
    const path = written("spaces.jsonl", lines([{ q: " a ", p: "b\n" }]));
    const idsOf = async (changes: Partial<PairSet>, lowercase = false) => {
      const set = { ...setOf("unused", 1), path, ...changes };
      const batches = await createPairBatches(options([set], { tokenizer: bytes, lowercase }));
      const [{ parts }] = (await batches.nextStep()).microBatches as [PairBatch];
      return { ids: [...parts[0]!.ids], skip: [...parts[0]!.skip] };
    };
    expect(await idsOf({})).toEqual({ ids: [0, 7, 3, 7, 1, 0, 4, 8, 1], skip: [0, 0] });
    const asked = { ids: [0, 5, 6, 7, 7, 3, 7, 1, 0, 4, 8, 1], skip: [4, 0] };
    expect(await idsOf({ instruction: "q: " })).toEqual(asked);
    expect(await idsOf({ instruction: "Q: " }, true)).toEqual(asked);
  });

  test("a held-out set is scored to its last row, in batches of near-equal size", async () => {
    for (const count of [1, 4, 5, 21, 24]) {
      const batches = await createPairBatches(options([setOf(`held-out-${count}`, count)]));
      const all = await batches.allBatches();
      expect(all.flatMap(({ rows }) => rows)).toEqual(Array.from({ length: count }, (_, i) => i));
      const sizes = all.map(({ queries }) => queries);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(4);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
  });

  test("a cursor continues with the batches that would have come, and refuses other data", async () => {
    const sets = () => [setOf("one", 30, 2), setOf("two", 13)];
    const unbroken = await createPairBatches(options(sets()));
    const steps = [];
    for (let step = 0; step < 12; step++) steps.push(await unbroken.nextStep());
    const resumed = await createPairBatches(options(sets()), structuredClone(steps[4]!.cursor));
    for (let step = 5; step < 12; step++) expect(await resumed.nextStep()).toEqual(steps[step]);
    const other = createPairBatches(options([setOf("one", 29, 2), setOf("two", 13)]), steps[4]!.cursor);
    await expect(other).rejects.toThrow(/expected the data and settings that the run began with/);
  });

  test("a step has about textsPerStep texts, and never fewer than two queries, however many negatives they have", async () => {
    const of = async (negatives: number, textsPerStep: number, changes: Partial<PairSet> = {}) =>
      (await createPairBatches(options([setOf("size", 40, negatives, changes)], { textsPerStep }))).queriesOf(0);
    expect(await of(0, 32)).toBe(16);
    expect(await of(6, 32)).toBe(4);
    expect(await of(48, 32)).toBe(2); // the paper's code has a batch of 0 here
    expect(await of(48, 32, { maxNegatives: 6 })).toBe(4);
  });

  test("of more negatives than a query may have some are drawn, others in the next epoch", async () => {
    const set = setOf("many", 2, 0, { maxNegatives: 2 });
    const negatives = Array.from({ length: 10 }, (_, n) => wordsText(4, 90 + n));
    written(
      "many.jsonl",
      lines([
        { q: "a", p: "law", negatives },
        { q: "b", p: "war", negatives },
      ]),
    );
    const batches = await createPairBatches(options([set]));
    const drawn = new Set<string>();
    for (let step = 0; step < 12; step++) {
      const { microBatches } = await batches.nextStep();
      expect(microBatches[0]!.documents).toBeLessThanOrEqual(2 + 4);
      drawn.add(JSON.stringify([...microBatches[0]!.parts[0]!.ids]));
    }
    expect(drawn.size).toBeGreaterThan(4);
  });

  test("texts are cut into parts by the budget of tokens, and all parts together are the one big part", async () => {
    const sets = [setOf("parts", 16)];
    const [whole] = (await (await createPairBatches(options(sets))).nextStep()).microBatches;
    const [cut] = (await (await createPairBatches(options(sets, { microBatchTokens: 20 }))).nextStep()).microBatches;
    expect(whole!.parts).toHaveLength(1);
    expect(cut!.parts.length).toBeGreaterThan(1);
    expect(cut!.parts.flatMap(({ ids }) => [...ids])).toEqual([...whole!.parts[0]!.ids]);
    for (const { ids } of cut!.parts) expect(ids.length).toBeLessThanOrEqual(20);
  });

  test("a set without usable rows is refused by name", async () => {
    const path = written("empty.jsonl", lines([{ q: "a", p: "" }]));
    const set = { name: "empty", path, instruction: "", documentInstruction: "" };
    await expect(createPairBatches(options([set]))).rejects.toThrow(/empty: expected rows with a query and a positive/);
  });
});

describe("the run file", () => {
  const parse = (yaml: string, ...overrides: string[]) =>
    parseContrastiveConfig(`out: run\nmodel: some/model\n${yaml}`, { file: "run.yaml", overrides });

  test("`paper` is the paper's list with its instructions, and a step on it has the published sizes", () => {
    const { data, temperature, steps, textsPerStep } = parse("data: { train: paper }");
    expect(data.train.map(({ name }) => name)).toEqual(paperSets);
    expect(paperSets).toHaveLength(19);
    expect(data.train.every(({ instruction }) => instruction !== "")).toBe(true);
    expect([temperature, steps, data.alpha]).toEqual([0.07, 2000, 0.5]);
    const queries = (negatives: number) => Math.floor(textsPerStep / (2 + negatives));
    expect([queries(0), queries(5), queries(20), queries(48)]).toEqual([
      64,
      Math.floor(128 / 7),
      Math.floor(128 / 22),
      2,
    ]);
  });

  test("names of the list, files and maps stand side by side, a map may change a set of the list", () => {
    mkdirSync(join(root, "files"), { recursive: true });
    const { data } = parse(
      "data: { train: [GOOAQ, files/my.jsonl, { paper: ALLNLI, path: nli.jsonl, limit: 5 }] }\nprompts: { query: 'q: ' }",
    );
    expect(data.train.map(({ name, path, instruction }) => [name, path, instruction])).toEqual([
      ["GOOAQ", catalogue.GOOAQ!.path, catalogue.GOOAQ!.instruction],
      ["my", "files/my.jsonl", "q: "],
      ["ALLNLI", "nli.jsonl", catalogue.ALLNLI!.instruction],
    ]);
    expect(() => parse("data: { train: [GOOOAQ] }")).toThrow(
      /expected a file or a set of the paper's list, got GOOOAQ/,
    );
    expect(() => parse("data: { train: a.jsonl }\ntemprature: 0.05")).toThrow(/Did you mean "temperature"/);
  });
});
