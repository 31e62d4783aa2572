// Records with all their columns. Oracles: by hand.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteFile } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { allRecords } from "./fixture-records.js";
import { readRecords } from "./records.js";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "neobert-records-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function write(name: string, content: string): string {
  writeFileSync(join(root, name), content);
  return join(root, name);
}

test("CSV has quotes, TSV has none, and without header the columns are numbers", async () => {
  expect(await allRecords(write("a.csv", 'text,label\n"a, ""b""",1\n'))).toEqual([{ text: 'a, "b"', label: "1" }]);
  expect(await allRecords(write("a.tsv", 'text\tlabel\n"a\t1\n'))).toEqual([{ text: '"a', label: "1" }]);
  expect(await allRecords(write("b.tsv", "x\ty\n"), { header: false })).toEqual([{ 0: "x", 1: "y" }]);
});

test("JSON lines and JSON arrays keep their values' types, and say where they stand", async () => {
  const rows = [];
  const path = write("a.jsonl", '{"a":1}\n\n{"a":[true]}\n');
  for await (const row of readRecords(path)) rows.push(row);
  expect(rows).toEqual([
    { record: { a: 1 }, row: 1, where: `${path}:1` },
    { record: { a: [true] }, row: 3, where: `${path}:3` },
  ]);
  expect(await allRecords(write("a.json", '[{"a":1},{"a":2}]'))).toEqual([{ a: 1 }, { a: 2 }]);
});

test("parquet's 64-bit whole numbers are numbers", async () => {
  const filename = join(root, "a.parquet");
  parquetWriteFile({
    filename,
    columnData: [
      { name: "text", data: ["x", "y"], type: "STRING" },
      { name: "label", data: [1n, -1n], type: "INT64" },
    ],
  });
  expect(await allRecords(filename)).toEqual([
    { text: "x", label: 1 },
    { text: "y", label: -1 },
  ]);
});

test("a row with another number of columns is an error, or left out where that is asked for", async () => {
  const path = write("torn.tsv", "a\tb\n1\t2\n3\n4\t5\n");
  await expect(allRecords(path)).rejects.toThrow(`${path}: record 2: expected 2 columns, got 1`);
  expect(await allRecords(path, { ragged: "skip" })).toEqual([
    { a: "1", b: "2" },
    { a: "4", b: "5" },
  ]);
});

test("what holds no records is refused with what would", async () => {
  await expect(allRecords(write("a.txt", "x"))).rejects.toThrow("expected a file of records, got plain text");
  await expect(allRecords(write("c.jsonl", "[1]\n"))).rejects.toThrow("c.jsonl:1: expected a JSON object, got [1]");
});
