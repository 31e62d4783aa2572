import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createVectorFile } from "./vector-file.js";
import { joinVectorParts, partPath } from "./vector-parts.js";

const root = mkdtempSync(join(tmpdir(), "neobert-vector-parts-"));
afterAll(() => rmSync(root, { recursive: true }));

const d = 5;
const texts = Array.from({ length: 11 }, (_, index) => `text ${index}`);
const arrays = {
  Float32Array: Float32Array.from({ length: 11 * d }, (_, index) => index / 7),
  Int8Array: Int8Array.from({ length: 11 * d }, (_, index) => index - 20),
  Uint8Array: Uint8Array.from({ length: 11 * d }, (_, index) => index),
};

function write(path: string, [first, end]: [number, number], data: (typeof arrays)[keyof typeof arrays], width = d) {
  const file = createVectorFile(path);
  file.write(texts.slice(first, end), data.subarray(first * width, end * width), width);
  file.close();
}

const cuts = [0, 4, 5, 11] as const;
const range = (number: number): [number, number] => [cuts[number - 1]!, cuts[number]!];

test.each(["npy", "safetensors", "jsonl"])("the parts of a .%s file make the bytes of the whole", (format) => {
  for (const [type, data] of Object.entries(arrays)) {
    const [whole, joined] = [join(root, `${type}-whole.${format}`), join(root, `${type}.${format}`)];
    write(whole, [0, 11], data);
    for (const number of [3, 1, 2]) write(partPath(joined, { number, of: 3 }), range(number), data);
    expect(joinVectorParts(joined)).toBe(3);
    expect(readFileSync(joined)).toEqual(readFileSync(whole));
  }
});

test("parts that are missing, cut, of other vectors or of another division are named, and nothing is written", () => {
  const folder = mkdtempSync(join(root, "refused-"));
  const path = join(folder, "vectors.npy");
  const place = (number: number, of = 3) => partPath(path, { number, of });
  expect(() => joinVectorParts(path)).toThrow("such as vectors.part-0001-of-0004.npy, got none\n");
  for (const number of [1, 3]) write(place(number), range(number), arrays.Float32Array);
  expect(() => joinVectorParts(path)).toThrow("got 2 of 3 (missing: 2/3)\n");
  write(place(2), [0, 4], arrays.Float32Array, 4);
  expect(() => joinVectorParts(path)).toThrow(
    `${place(2)}: expected vectors of 5 values of Float32Array, as in ${place(1)}, got 4 of Float32Array\n`,
  );
  write(place(2), range(2), arrays.Float32Array);
  truncateSync(place(3), 200);
  expect(() => joinVectorParts(path)).toThrow(
    `${place(3)}: expected a whole .npy file of \`neobert embed\`, got another`,
  );
  writeFileSync(place(1, 2), "");
  expect(() => joinVectorParts(path)).toThrow("expected parts of one division, got some of 2 and some of 3\n");
  expect(readdirSync(folder).filter((name) => !name.includes("part-"))).toEqual([]);

  const parquet = join(folder, "vectors.parquet");
  write(partPath(parquet, { number: 1, of: 1 }), [0, 11], arrays.Float32Array);
  expect(() => joinVectorParts(parquet)).toThrow(
    `Give them the parts as they are: ${join(folder, "vectors.part-*.parquet")}`,
  );
});
