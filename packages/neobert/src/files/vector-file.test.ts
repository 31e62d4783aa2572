// Files are read again by other readers than those that wrote them: hyparquet, our safetensors reader (tested against the
// reference library), and JSON.parse. NumPy itself reads them in test:peers.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { afterAll, expect, test } from "vitest";
import { readNpy } from "./npy.js";
import { openSafetensors } from "./safetensors.js";
import { createVectorFile } from "./vector-file.js";

const folder = mkdtempSync(join(tmpdir(), "vectors-"));
afterAll(() => rmSync(folder, { recursive: true }));

const d = 6;
const texts = ["one", 'two "quoted"\n', "drei \u00e4", "", "five"];
const makers = {
  float: (i: number) => Math.fround(Math.sin(i) * 10 ** ((i % 7) - 3)),
  int8: (i: number) => ((i * 37) % 256) - 128,
  ubinary: (i: number) => (i * 91) % 256,
};
const arrays = {
  float: Float32Array.from({ length: 5 * d }, (_, i) => makers.float(i)),
  int8: Int8Array.from({ length: 5 * d }, (_, i) => makers.int8(i)),
  ubinary: Uint8Array.from({ length: 5 * d }, (_, i) => makers.ubinary(i)),
};
type Kind = keyof typeof arrays;

function written(kind: Kind, extension: string): string {
  const path = join(folder, `${kind}.${extension}`);
  const file = createVectorFile(path);
  file.write(texts.slice(0, 2), arrays[kind].subarray(0, 2 * d), d);
  file.write(texts.slice(2), arrays[kind].subarray(2 * d), d);
  file.close();
  return path;
}

test.each(Object.keys(arrays) as Kind[])(
  "%s vectors written in pieces are read whole from every format",
  async (kind) => {
    const expected = [...arrays[kind]];
    const npy = readNpy(written(kind, "npy"));
    expect([npy.shape, [...npy.data]]).toEqual([[5, d], expected]);

    const tensors = openSafetensors(written(kind, "safetensors"));
    const tensor = tensors.read("embeddings");
    expect([tensor.shape, [...tensor.data]]).toEqual([[5, d], expected]);
    tensors.close();

    const lines = readFileSync(written(kind, "jsonl"), "utf8").trimEnd().split("\n");
    const records = lines.map((line) => JSON.parse(line) as { text: string; embedding: number[] });
    expect(records.map(({ text }) => text)).toEqual(texts);
    expect(records.flatMap(({ embedding }) => embedding.map((value) => Math.fround(value)))).toEqual(expected);

    const file = await asyncBufferFromFile(written(kind, "parquet"));
    const rows = (await parquetReadObjects({ file })) as { text: string; embedding: number[] }[];
    expect(rows.map(({ text }) => text)).toEqual(texts);
    expect(rows.flatMap(({ embedding }) => embedding)).toEqual(expected);
  },
);

test("a file that is given up, or not closed yet, is not there under its name", () => {
  for (const extension of ["npy", "safetensors", "jsonl", "parquet"]) {
    const before = readdirSync(folder);
    const file = createVectorFile(join(folder, `gone.${extension}`));
    file.write(["a"], new Float32Array(4), 4);
    expect(readdirSync(folder)).not.toContain(`gone.${extension}`);
    file.abandon();
    expect(readdirSync(folder)).toEqual(before);
  }
});

test("another extension, and vectors of another width, are refused", () => {
  expect(() => createVectorFile(join(folder, "vectors.csv"))).toThrow("ends in .npy, .safetensors, .jsonl, .parquet");
  const file = createVectorFile(join(folder, "wide.npy"));
  file.write(["a"], new Float32Array(4), 4);
  expect(() => file.write(["a"], new Float32Array(5), 5)).toThrow("vectors of 4 values, got 5");
  file.abandon();
});

test("a file that is not NumPy's is refused", () => {
  expect(() => readNpy(written("float", "jsonl"))).toThrow(
    "expected a .npy file of float32, int8 or uint8, got another",
  );
});
