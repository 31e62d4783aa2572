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

test("no call takes long, however many keys there are", () => {
  const table = new KeyTable();
  const keys = Buffer.alloc(2048 * 16);
  let state = 1;
  let worstMs = 0;
  for (let first = 0; first < 1_600_000; first += 2048) {
    for (let at = 0; at < keys.length; at += 4) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      keys.writeUInt32LE(Math.imul(state ^ (state >>> 16), 0x85ebca6b) >>> 0, at);
    }
    const before = process.cpuUsage(); // of this process alone: others may be at work
    for (let row = 0; row < 2048; row++) table.set(keys, 16 * row, 0, first + row);
    const { user, system } = process.cpuUsage(before);
    worstMs = Math.max(worstMs, (user + system) / 1000);
  }
  expect(table.size).toBeGreaterThan(1_590_000);
  expect(worstMs).toBeLessThan(100);
});
