// Pages whose runs are longer than their values: hyparquet would fill the memory with them.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parquetWriteBuffer } from "hyparquet-writer";
import { expect, test } from "vitest";
import { allRecords } from "./fixture-records.js";

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
