import { expect, test } from "vitest";
import { everyNth, parsePart } from "./part.js";

const launched = (rank: number, size: number) => () => ({ rank, size });

test("a part is written from 1 on, or is the launcher's rank, which counts from 0", () => {
  expect(parsePart("3/64", launched(0, 2))).toEqual({ number: 3, of: 64 });
  expect(parsePart("rank", launched(0, 4))).toEqual({ number: 1, of: 4 });
  expect(parsePart("rank", launched(3, 4))).toEqual({ number: 4, of: 4 });
  for (const text of ["0/3", "4/3", "1", "1/", "/2", "-1/2", "1.5/2", "1/2/3", "", "rank/2"]) {
    expect(() => parsePart(text, launched(0, 1))).toThrow(
      `part: expected i/n with i from 1 to n, such as 3/64, or rank, got "${text}"\n`,
    );
  }
  expect(() => parsePart("rank", () => undefined)).toThrow("got a process that none has started\n");
});

test("every n-th item belongs to one part alone", () => {
  const items = [..."abcdefgh"];
  const parts = [1, 2, 3].map((number) => everyNth(items, { number, of: 3 }));
  expect(parts.map((part) => part.join(""))).toEqual(["adg", "beh", "cf"]);
  expect(everyNth(items, { number: 1, of: 3 }, 1).join("")).toBe("cf");
  expect(everyNth(items, undefined)).toEqual(items);
});
