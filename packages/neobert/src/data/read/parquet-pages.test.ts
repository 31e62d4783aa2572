// Pages that declare more than there is, and counts that agree with each other but with no bytes: hyparquet would fill the
// memory with them.

import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ParquetWriteOptions, parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { allRecords } from "./fixture-records.js";
import { readDocuments } from "./read.js";

const write = (name: string, ...columns: ParquetWriteOptions["columnData"]) => writeWith({}, name, ...columns);

function writeWith(
  options: Partial<ParquetWriteOptions>,
  name: string,
  ...columnData: ParquetWriteOptions["columnData"]
): string {
  const path = join(mkdtempSync(join(tmpdir(), "pages-")), name);
  writeFileSync(path, new Uint8Array(parquetWriteBuffer({ columnData, ...options })));
  return path;
}

/** What a reading adds to the memory of this process at most, in MiB. */
async function peakOf(work: Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let peak = before;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 2);
  await work.catch(() => {});
  clearInterval(timer);
  return (Math.max(peak, process.memoryUsage.rss()) - before) / 2 ** 20;
}

test("a column of more values than its bytes can stand for is refused, however well its counts agree", async () => {
  // Twenty columns of one run of nulls each, counted alike in runs, pages, columns and rows: 10,000 become 2^20 - 1.
  const nulls = new Array(10_000).fill(null);
  const columns = Array.from({ length: 20 }, (_, i) => ({ name: `c${i}`, data: nulls, type: "INT32" as const }));
  const path = writeWith({ statistics: false, rowGroupSize: 10_000 }, "nulls.parquet", ...columns);
  expect(await allRecords(path)).toHaveLength(10_000);
  const many = readFileSync(path, "latin1").replaceAll(varint(20_000), varint(2 ** 21 - 2));
  writeFileSync(path, many, "latin1");
  const refused = expect(allRecords(path)).rejects.toThrow(
    /nulls\.parquet: expected a parquet file, got a row group of 20971500 values in \d+ bytes, of which at most 16777216 are read, after row 0\n/,
  );
  expect(await peakOf(refused)).toBeLessThan(50);
  await refused;
  expect(await allRecords(path, { columns: ["c3"] })).toHaveLength(2 ** 20 - 1); // what is bearable is read
});

/** A whole number in groups of seven bits, as characters. */
function varint(value: number): string {
  return value < 128 ? String.fromCharCode(value) : String.fromCharCode(128 + (value % 128)) + varint(value >> 7);
}

test("a page that unpacks to more than its codec can, or its bytes may, is refused before it is unpacked", async () => {
  const column = { name: "a", data: ["x".repeat(2 ** 26 + 10)], type: "STRING" as const, statistics: false };
  const forty = () => new Uint8Array(40);
  for (const codec of ["GZIP", "ZSTD", "SNAPPY"] as const) {
    const path = writeWith({ codec, compressors: { [codec]: forty } }, `${codec}.parquet`, column);
    await expect(allRecords(path)).rejects.toThrow(
      /got a page of 4\d bytes, 6710\d+ unpacked, in column a after row 0/,
    );
  }
});

test("a dictionary of more values than its bytes hold is refused", async () => {
  const data = Array.from({ length: 60 }, (_, i) => ["one", "two", "six"][i % 3]!);
  const path = writeWith({ codec: "UNCOMPRESSED" }, "words.parquet", { name: "a", data, type: "STRING" });
  expect(await allRecords(path)).toEqual(data.map((a) => ({ a })));
  const bytes = readFileSync(path);
  const header = bytes.indexOf(Buffer.from([0x4c, 0x15, 2 * 3])); // field 7, its field 1: three words
  expect(header).toBeGreaterThan(0);
  bytes[header + 2] = 2 * 63;
  writeFileSync(path, bytes);
  await expect(allRecords(path)).rejects.toThrow(/got a page of 63 values in column a after row 0/);
});

test("texts that repeat each other's beginnings are read, and refused where few bytes would be many texts", async () => {
  const column = (data: string[]) => ({
    name: "a",
    data,
    type: "STRING" as const,
    encoding: "DELTA_BYTE_ARRAY" as const,
  });
  const texts = Array.from({ length: 50 }, (_, i) => `https://example.org/${"path/".repeat(i % 7)}${i}`);
  expect(await allRecords(write("urls.parquet", column(texts)))).toEqual(texts.map((a) => ({ a })));
  const path = writeWith({ pageSize: 2 ** 30 }, "bomb.parquet", column(new Array(150).fill("x".repeat(2 ** 20))));
  await expect(allRecords(path)).rejects.toThrow(/got texts of 157286400 bytes in a page of \d+ after row 0/);
});

test("a run of levels longer than its page's values is refused before it is decoded", async () => {
  const names = ["one", null, "three", null];
  const bytes = Buffer.from(
    parquetWriteBuffer({ columnData: [{ name: "a", data: names, type: "STRING" }], codec: "UNCOMPRESSED" }),
  );
  const path = join(mkdtempSync(join(tmpdir(), "pages-")), "a.parquet");
  writeFileSync(path, bytes);
  expect(await allRecords(path)).toEqual(names.map((a) => ({ a })));

  // The levels 1, 0, 1, 0 are one bit-packed run: 0b101 after its header of one group, 3.
  const run = bytes.indexOf(Buffer.from([3, 0b0101]));
  expect(run).toBeGreaterThan(0);
  for (const header of [0x7e, 0x7f]) {
    const damaged = Buffer.from(bytes);
    damaged[run] = header; // 63 values of a run, or 63 groups of eight
    writeFileSync(path, damaged);
    await expect(allRecords(path)).rejects.toThrow(
      /a\.parquet: expected a parquet file, got a run of 63 among 4 values/,
    );
  }
});

test("a page that its codec does not unpack is named with its column, and bytes that are no UTF-8 are no text", async () => {
  const column = { name: "a", data: ["one", "two", "three"], type: "STRING" as const };
  for (const codec of ["SNAPPY", "LZ4_RAW", "GZIP"] as const) {
    const compressors = { [codec]: () => Uint8Array.of(0x1f, 0xff, 0xff, 0x7f, 0x20) };
    const path = writeWith({ codec, compressors }, "packed.parquet", column);
    await expect(allRecords(path)).rejects.toThrow(
      new RegExp(`got a page that is not ${codec}, in column "a", after row 0\\nCopy or download it again`),
    );
  }
  const latin = {
    name: "a",
    data: [Buffer.from("caf\xe9", "latin1"), Buffer.from("\ufeffé")],
    type: "BYTE_ARRAY" as const,
  };
  const path = write("latin.parquet", latin);
  expect(await allRecords(path)).toEqual([{ a: Uint8Array.from(Buffer.from("caf\xe9", "latin1")) }, { a: "\ufeffé" }]);
  const reading = readDocuments(path, { column: "a" }).next();
  await expect(reading).rejects.toThrow(/latin\.parquet: row 1: expected text in column a, got /);
});
