// The bytes of an answer are those of JSON.stringify.
import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonBytes } from "./json-text.js";

const { signal } = new AbortController();
const textOf = async (value: unknown) => Buffer.from(await jsonBytes(value, signal)).toString();

test("any JSON value is written as JSON.stringify writes it", async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (value) => {
      expect(await textOf(value)).toBe(JSON.stringify(value));
    }),
  );
});

test("float32 arrays are lists that read back to the same numbers, wherever they stand; undefined fields are left out", async () => {
  const row = Float32Array.of(0.1, -3e-9, 5);
  const answer = {
    data: [{ index: 0, embedding: row, text: undefined }],
    rows: [row, new Float32Array()],
    none: undefined,
  };
  const read = JSON.parse(await textOf(answer));
  expect(read).toEqual({ data: [{ index: 0, embedding: [...row] }], rows: [[...row], []] });
});

test("other work has its turn while a large answer is written, and an abort ends it", async () => {
  const rows = Array.from({ length: 3000 }, () => Float32Array.from({ length: 200 }, () => Math.random()));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  expect(JSON.parse(await textOf(rows))).toHaveLength(3000);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(2);
  const gone = new AbortController();
  const writing = jsonBytes(rows, gone.signal);
  gone.abort(new Error("gone"));
  await expect(writing).rejects.toThrow("gone");
});
