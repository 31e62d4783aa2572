import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { countingDocuments, writeFixtureShards } from "./fixture-data.js";
import { PieceIndex } from "./pieces.js";
import { openShards } from "./shards.js";

const lengthsArbitrary = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 200 });

test("every document is read back as it was written, whatever shard it lies in", () => {
  fc.assert(
    fc.property(lengthsArbitrary, fc.integer({ min: 1, max: 50 }), (lengths, documentsPerShard) => {
      const documents = countingDocuments(lengths);
      const shards = openShards(writeFixtureShards(documents, { documentsPerShard }));
      expect([...shards.lengths(0, shards.documents)]).toEqual(lengths);
      for (const [index, ids] of documents.entries()) expect([...shards.document(index)]).toEqual(ids);
      shards.close();
      rmSync(shards.folder, { recursive: true });
    }),
    { numRuns: 15 },
  );
});

test("ids above 65,535 need and get uint32", () => {
  const shards = openShards(writeFixtureShards([[70_000, 5]], { vocabSize: 80_000 }));
  expect(shards.manifest.dtype).toBe("uint32");
  expect([...shards.document(0)]).toEqual([70_000, 5]);
  shards.close();
});

test("more shards than files may be open are read all the same", () => {
  const documents = countingDocuments(new Array(300).fill(3));
  const shards = openShards(writeFixtureShards(documents, { documentsPerShard: 1 }));
  for (const index of [0, 299, 150, 0, 299]) expect([...shards.document(index)]).toEqual(documents[index]);
  shards.close();
});

test("a cut shard file, a missing manifest and a manifest of another format are refused with the reason", () => {
  const folder = writeFixtureShards(countingDocuments([10, 20]));
  truncateSync(join(folder, "tokens-00000.bin"), 40);
  expect(() => openShards(folder)).toThrow(/tokens-00000.bin of 60 bytes as its manifest says, got 40 bytes/);
  const manifest = readFileSync(join(folder, "manifest.json"), "utf8");
  writeFileSync(join(folder, "manifest.json"), manifest.replace('"version":1', '"version":9'));
  expect(() => openShards(folder)).toThrow(/token manifest of version 1 in .*, got version/);
  rmSync(join(folder, "manifest.json"));
  expect(() => openShards(folder)).toThrow(/expected manifest.json .*\n.*neobert data prepare/);
});

test("a document or piece beyond the end is refused", () => {
  const shards = openShards(writeFixtureShards(countingDocuments([10])));
  expect(() => shards.document(1)).toThrow(/documents below 1/);
  expect(() => new PieceIndex(shards, 8, "cut").at(2)).toThrow(/piece below 2, got 2/);
  shards.close();
});

test("cut pieces are the document in order, none longer than maxLength - 2; truncated ones are its beginning", () => {
  fc.assert(
    fc.property(lengthsArbitrary, fc.integer({ min: 3, max: 30 }), (lengths, maxLength) => {
      const shards = openShards(writeFixtureShards(countingDocuments(lengths), { documentsPerShard: 70 }));
      const expected = { cut: [] as object[], truncate: [] as object[] };
      for (const [document, length] of lengths.entries()) {
        for (let start = 0; start < length; start += maxLength - 2) {
          const piece = { document, start, length: Math.min(length - start, maxLength - 2) };
          expected.cut.push(piece);
          if (start === 0) expected.truncate.push(piece);
        }
      }
      for (const longDocuments of ["cut", "truncate"] as const) {
        const index = new PieceIndex(shards, maxLength, longDocuments);
        expect(Array.from({ length: index.count }, (_, piece) => index.at(piece))).toEqual(expected[longDocuments]);
      }
      shards.close();
      rmSync(shards.folder, { recursive: true });
    }),
    { numRuns: 20 },
  );
});

test("a manifest that is not the sum of its shards is refused, and offsets that fall name their file", () => {
  const { folder } = openShards(writeFixtureShards(countingDocuments([3, 4, 5]), { documentsPerShard: 2 }));
  const path = join(folder, "manifest.json");
  const manifest = JSON.parse(readFileSync(path, "utf8"));
  for (const key of ["documents", "tokens"]) {
    writeFileSync(path, JSON.stringify({ ...manifest, [key]: manifest[key] + 1 }));
    expect(() => openShards(folder)).toThrow(`expected ${manifest[key]} ${key} in ${path}`);
  }
  writeFileSync(path, JSON.stringify(manifest));
  for (const middle of [8, 2 ** 31]) {
    const offsets = join(folder, "offsets-00000.bin");
    writeFileSync(offsets, new Uint8Array(Uint32Array.of(0, middle, 7).buffer));
    const shards = openShards(folder);
    expect(() => shards.document(1)).toThrow(`expected offsets of ${offsets} that rise to 7, got ${middle}`);
    shards.close();
  }
  rmSync(folder, { recursive: true });
});
