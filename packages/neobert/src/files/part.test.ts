import { expect, test } from "vitest";
import { everyNth, parsePart } from "./part.js";

test("a part is written from 1 on, or is the launcher's rank, which counts from 0", () => {
  expect(parsePart("3/64")).toEqual({ number: 3, of: 64 });
  expect(parsePart("rank", { RANK: "0", WORLD_SIZE: "4" })).toEqual({ number: 1, of: 4 });
  expect(parsePart("rank", { RANK: "3", WORLD_SIZE: "4" })).toEqual({ number: 4, of: 4 });
  for (const text of ["0/3", "4/3", "1", "1/", "/2", "-1/2", "1.5/2", "1/2/3", "", "rank/2"]) {
    expect(() => parsePart(text)).toThrow(
      `part: expected i/n with i from 1 to n, such as 3/64, or rank, got "${text}"`,
    );
  }
  expect(() => parsePart("rank", { RANK: "4", WORLD_SIZE: "4" })).toThrow("got RANK=4 WORLD_SIZE=4\nStart it with");
  expect(() => parsePart("rank", { RANK: "4" })).toThrow("got RANK=4 WORLD_SIZE=\n");
});

test("every n-th item belongs to one part alone", () => {
  const items = [..."abcdefgh"];
  const parts = [1, 2, 3].map((number) => everyNth(items, { number, of: 3 }));
  expect(parts.map((part) => part.join(""))).toEqual(["adg", "beh", "cf"]);
  expect(everyNth(items, { number: 1, of: 3 }, 1).join("")).toBe("cf");
  expect(everyNth(items, undefined)).toEqual(items);
});
