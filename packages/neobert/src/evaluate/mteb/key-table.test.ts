import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { KeyTable } from "./key-table.js";

test("a table gives back what a Map of the same keys holds, whatever was set twice", () => {
  const table = new KeyTable();
  const map = new Map<number, { segment: number; row: number }>();
  // Keys that share their first word stand one after another in the table.
  const keyOf = (number: number) => {
    const key = createHash("sha256").update(String(number)).digest().subarray(0, 16);
    key.writeUInt32LE(number % 7, 0);
    return key;
  };
  for (let i = 0; i < 3000; i++) {
    const number = (i * i) % 2111;
    map.set(number, { segment: i % 5, row: i });
    table.set(Buffer.concat([Buffer.from("before"), keyOf(number)]), 6, i % 5, i);
  }
  expect(table.size).toBe(map.size);
  for (let number = 0; number < 2111; number++) expect(table.get(keyOf(number))).toEqual(map.get(number));
});
