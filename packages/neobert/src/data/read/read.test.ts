// Row counts of real data sets are those their publishers give (data/README.md beside the data).

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { hashFile, listSourceFiles, type ReadOptions, readDocuments, type SourceDocument } from "./read.js";
import { unzstd } from "./unzstd.js";

const root = mkdtempSync(join(tmpdir(), "read-"));
afterAll(() => rmSync(root, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  const path = join(root, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

async function read(sources: string | string[], options?: ReadOptions): Promise<SourceDocument[]> {
  const documents: SourceDocument[] = [];
  for await (const document of readDocuments(sources, options)) documents.push(document);
  return documents;
}

const texts = async (sources: string | string[], options?: ReadOptions) =>
  (await read(sources, options)).map(({ text }) => text);

describe("text", () => {
  const poem = "first\r\nline two\n\n \nthird\n\n";

  test("is one document a file, one a line, or one a paragraph, with the line it starts on", async () => {
    const path = write("poem.txt", poem);
    expect(await read(path)).toEqual([{ text: poem, source: path, row: 1 }]);
    expect(await read(path, { split: "line" })).toEqual([
      { text: "first", source: path, row: 1 },
      { text: "line two", source: path, row: 2 },
      { text: "third", source: path, row: 5 },
    ]);
    expect(await read(path, { split: "paragraph" })).toEqual([
      { text: "first\nline two", source: path, row: 1 },
      { text: "third", source: path, row: 5 },
    ]);
  });

  test("loses its byte-order mark and keeps characters that lie across chunks", async () => {
    const long = `${"x".repeat(2 ** 18 - 1)}äöü€😀${"y".repeat(2 ** 18)}`;
    expect(await texts(write("long.txt", `\ufeff${long}`))).toEqual([long]);
  });

  test("that is not UTF-8 is an error that names the file", async () => {
    await expect(read(write("latin1.txt", Buffer.from("gr\xfcn", "latin1")))).rejects.toThrow(
      /latin1\.txt: expected UTF-8/,
    );
    await expect(read(write("cut.txt", Uint8Array.of(0x61, 0xc3)))).rejects.toThrow(/cut\.txt: expected UTF-8/);
  });

  test("an empty file has no document", async () => {
    expect(await read(write("empty.txt", ""))).toEqual([]);
    expect(await read(write("blank.txt", "\n \n"))).toEqual([]);
  });
});

describe("JSON", () => {
  test("lines give one document each, blank ones none, and null an empty text", async () => {
    const path = write("a.jsonl", '{"text":"one","n":1}\n\n{"text":null}\r\n{"text":"two\\nlines"}');
    expect(await read(path)).toEqual([
      { text: "one", source: path, row: 1 },
      { text: "", source: path, row: 3 },
      { text: "two\nlines", source: path, row: 4 },
    ]);
  });

  test("a bad line is an error with file, line number and what is there", async () => {
    await expect(read(write("bad.jsonl", '{"text":"one"}\n{"text":one}\n'))).rejects.toThrow(
      /bad\.jsonl:2: expected JSON, got \{"text":one\}/,
    );
    await expect(read(write("list.jsonl", '["text"]\n'))).rejects.toThrow(/list\.jsonl:1: expected a JSON object/);
  });

  test("a missing key names the keys there are, a value that is no text its type", async () => {
    const path = write("keys.jsonl", '{"body":"a","id":7}\n');
    await expect(read(path)).rejects.toThrow(/keys\.jsonl:1: expected a column text, got body, id/);
    await expect(read(path, { column: "id" })).rejects.toThrow(/keys\.jsonl:1: expected text in column id, got number/);
    await expect(read(path, { column: "toString" })).rejects.toThrow("expected a column toString");
    expect(await texts(path, { column: "body" })).toEqual(["a"]);
  });

  test("a .json file may be an array or JSON lines", async () => {
    expect(await texts(write("array.json", ' [ {"text":"a,]}\\"{"},\n{"text":"b","more":[{"c":[1,2]}]} ]\n'))).toEqual([
      'a,]}"{',
      "b",
    ]);
    expect(await texts(write("lines.json", '{"text":"a"}\n{"text":"b"}\n'))).toEqual(["a", "b"]);
    expect(await texts(write("none.json", "[]"))).toEqual([]);
  });

  test("an array that is cut short, followed by something, or holds something else is an error", async () => {
    await expect(read(write("short.json", '[{"text":"a"}, {"text"'))).rejects.toThrow(
      /short\.json: expected an array with a closing \]/,
    );
    await expect(read(write("after.json", '[{"text":"a"}] {"text":"b"}'))).rejects.toThrow(
      /after\.json: expected one array/,
    );
    await expect(read(write("bad.json", '[{"text":"a"},{"text":b}]'))).rejects.toThrow(
      /bad\.json: element 2: expected JSON, got \{"text":b\}/,
    );
    await expect(read(write("hole.json", '[{"text":"a"},,{"text":"b"}]'))).rejects.toThrow(/hole\.json: element 2/);
    await expect(read(write("words.json", '["a"]'))).rejects.toThrow(/words\.json: element 1: expected a JSON object/);
  });

  test("any texts come back from JSON lines, a JSON array and CSV as they were written", async () => {
    const anyTexts = fc.array(fc.string({ unit: "grapheme", maxLength: 30 }), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(anyTexts, async (list) => {
        const records = list.map((text) => JSON.stringify({ id: "[,{", text }));
        expect(await texts(write("any.jsonl", records.join("\n")))).toEqual(list);
        expect(await texts(write("any.json", `[${records.join(" ,\n")}]`))).toEqual(list);
        const quoted = list.map((text) => `1,"${text.replaceAll('"', '""')}"\n`).join("");
        expect(await texts(write("any.csv", `id,text\n${quoted}`))).toEqual(list);
      }),
      { numRuns: 40 },
    );
  });
});

describe("CSV and TSV", () => {
  test("take the column by name, or by number without a header", async () => {
    const path = write("a.csv", 'id,text\n1,"one, ""two""\nthree"\n2,four\n');
    expect(await read(path)).toEqual([
      { text: 'one, "two"\nthree', source: path, row: 1 },
      { text: "four", source: path, row: 2 },
    ]);
    expect(await texts(path, { header: false, column: "0" })).toEqual(["id", "1", "2"]);
  });

  test("quotes mean nothing in TSV", async () => {
    expect(await texts(write("a.tsv", 'text\tlabel\n"half\t1\na "b" c\t0\n'))).toEqual(['"half', 'a "b" c']);
  });

  test("a column that is not there names those that are, a broken record its line", async () => {
    await expect(read(write("b.csv", "a,b\n1,2\n"))).rejects.toThrow(
      /b\.csv: expected a column text, got a, b\nChoose one/,
    );
    await expect(read(write("c.csv", "text,b\n1,2\n3\n"))).rejects.toThrow(
      /c\.csv: record 2: expected 2 columns, got 1 \(it ends in line 3\)/,
    );
    await expect(read(write("d.csv", 'text,b\n1,"2\n3'))).rejects.toThrow(/d\.csv:3: expected CSV, got .*[Qq]uote/);
  });
});

describe("compression", () => {
  // Made by the zstd command line: two records; then two frames, the second without checksum.
  const zstd = Buffer.from("KLUv/QRY/QAAyHsidGV4dCI6Im9uZSJ9Cnp3ZWkgw7wifQoBAFLMOo9x4B0=", "base64");
  const frames = Buffer.from("KLUv/QRYYQAAZmlyc3QgZnJhbWUKDsLHKii1L/0AWGkAAHNlY29uZCBmcmFtZQo=", "base64");

  test("gzip of several members and zstd of several frames are read to their end", async () => {
    const members = Buffer.concat([gzipSync('{"text":"a"}\n'), gzipSync('{"text":"b"}\n')]);
    expect(await texts(write("m.jsonl.gz", members))).toEqual(["a", "b"]);
    expect(await texts(write("z.jsonl.zst", zstd))).toEqual(["one", "zwei ü"]);
    expect(await texts(write("f.txt.zst", frames), { split: "line" })).toEqual(["first frame", "second frame"]);
  });

  test("a cut or damaged file is an error that names it", async () => {
    const gzip = gzipSync("text\n".repeat(1000));
    await expect(read(write("cut.txt.gz", gzip.subarray(0, 30)))).rejects.toThrow(
      /cut\.txt\.gz: expected a whole compressed file/,
    );
    await expect(read(write("no.txt.gz", "plain"))).rejects.toThrow(/no\.txt\.gz: expected a whole compressed file/);
    await expect(read(write("cut.txt.zst", zstd.subarray(0, 25)))).rejects.toThrow(
      /cut\.txt\.zst: expected a whole compressed file/,
    );
    const padded = [gzipSync("one\n"), Buffer.alloc(3_000_000), gzipSync("two\n")];
    await expect(read(write("padded.txt.gz", Buffer.concat(padded)))).rejects.toThrow(
      /padded\.txt\.gz: expected a whole compressed file, got more behind zeros\nCopy/,
    );
    expect(await texts(write("tape.txt.gz", Buffer.concat(padded.slice(0, 2))))).toEqual(["one\n"]);
    // Damaged at any byte: the text, or an error of this form, never what a decoder says that ran over its blocks' ends.
    for (let at = 4; at < zstd.length; at++) {
      for (const bits of [1, 0x80, 0xff]) {
        const damaged = Buffer.from(zstd);
        damaged[at]! ^= bits;
        const message = await read(write("damaged.txt.zst", damaged)).then(
          () => "",
          (error: Error) => error.message,
        );
        expect(message, `${at} ${bits}`).toMatch(/^$|^\S+damaged\.txt\.zst: expected .*, got .*\n/);
        expect(message, `${at} ${bits}`).not.toMatch(/offset|length of|undefined|invalid array|out of (range|bounds)/i);
      }
    }
    await expect(read(write("no.txt.zst", "plain text, not zstd"))).rejects.toThrow(/no\.txt\.zst: expected a whole/);
    await expect(read(write("cut.csv.gz", gzip.subarray(0, 30)), { column: "text" })).rejects.toThrow(
      /cut\.csv\.gz: expected a whole/,
    );
  });
});

test("a zstd block of a few bytes that says it is gigabytes is stopped, not unpacked", async () => {
  // A literal, and 98,302 sequences of which each repeats it 65,539 times and takes no bits (RFC 8878, 3.1.1.3).
  const block = Buffer.from([0x08, 0x61, 0xff, 0xff, 0xff, 0x54, 0, 0, 52, 0x01]);
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0x38, ((block.length << 3) | 5) & 0xff, 0, 0]);
  const file = (async function* () {
    yield Buffer.concat([head, block]);
  })();
  const unpack = async () => {
    for await (const _ of unzstd(file, { useNative: false }));
  };
  await expect(unpack()).rejects.toThrow("blocks that say too much");
});

describe("sources", () => {
  const tree = join(root, "tree");
  for (const name of [
    "b.txt",
    "a.jsonl.gz",
    "deep/er/c.csv",
    "deep/d.parquet",
    "deep/README.md",
    ".hidden/e.txt",
    "f.bin",
  ]) {
    write(`tree/${name}`, "");
  }
  symlinkSync(join(tree, "b.txt"), join(tree, "deep", "link.txt"));
  const listed = (source: string | string[]) => listSourceFiles(source).map((path) => path.slice(tree.length + 1));

  test("a folder is all readable files under it, sorted by path, with links to files and without hidden names", () => {
    expect(listed(tree)).toEqual(["a.jsonl.gz", "b.txt", "deep/d.parquet", "deep/er/c.csv", "deep/link.txt"]);
  });

  test("a pattern is the files that match it, whatever their names end in", () => {
    expect(listed(`${tree}/*`)).toEqual(["a.jsonl.gz", "b.txt", "f.bin"]);
    expect(listed(`${tree}/deep/*.md`)).toEqual(["deep/README.md"]);
    expect(listed(`${tree}/**/*.csv`)).toEqual(["deep/er/c.csv"]);
    expect(listed(`${tree}/*/?.parquet`)).toEqual(["deep/d.parquet"]);
  });

  test("several sources keep their order, and a file that comes twice is read once", () => {
    expect(listed([`${tree}/f.bin`, `${tree}/b.txt`, `${tree}/*.txt`])).toEqual(["f.bin", "b.txt"]);
  });

  test("a source that means no file is an error", () => {
    expect(() => listSourceFiles(join(tree, "nothing"))).toThrow("got a name that does not exist");
    expect(() => listSourceFiles(`${tree}/*.xml`)).toThrow("expected files that match the pattern, got none");
    write("bare/x.bin", "");
    expect(() => listSourceFiles(join(root, "bare"))).toThrow("expected files ending in txt");
    expect(() => listSourceFiles("hf://datasets/a/b")).toThrow("expected local sources");
  });

  test("a name that tells no format needs one to be given", async () => {
    const path = write("strange.data", "words\n");
    await expect(read(path)).rejects.toThrow("Pass format");
    expect(await texts(path, { format: "text", split: "line" })).toEqual(["words"]);
  });

  test("reading stops after limit documents over all files, and when the signal says so", async () => {
    const paths = [write("l1.txt", "a\nb\n"), write("l2.txt", "c\nd\n"), join(tree, "b.txt")];
    expect(await texts(paths, { split: "line", limit: 3 })).toEqual(["a", "b", "c"]);
    expect(await texts(paths, { limit: 0 })).toEqual([]);
    const controller = new AbortController();
    const seen: string[] = [];
    const reading = async () => {
      for await (const { text } of readDocuments(paths, { split: "line", signal: controller.signal })) {
        seen.push(text);
        controller.abort();
      }
    };
    await expect(reading()).rejects.toThrow("aborted");
    expect(seen).toEqual(["a"]);
  });

  test("the hash of a file is the SHA-256 of its bytes", async () => {
    // FIPS 180-2, appendix B.1.
    expect(await hashFile(write("abc.txt", "abc"))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    const large = Buffer.alloc(3_000_000, "neobert");
    expect(await hashFile(write("large.txt", large))).toBe(createHash("sha256").update(large).digest("hex"));
  });
});

const shared = (path: string) => fileURLToPath(new URL(`../../../../../../shared/data/${path}`, import.meta.url));
const withData = test.skipIf(!existsSync(shared("")));

describe("real data sets (skipped where ../shared/data is absent)", () => {
  withData("parquet with snappy, dictionaries and many row groups: all rows of CLINC150", async () => {
    const documents = await read(shared("parquet/clinc150"));
    const count = (part: string) => documents.filter(({ source }) => source.includes(part)).length;
    expect([count("train-"), count("validation-"), count("test-")]).toEqual([10625, 3100, 5500]);
    expect(documents.at(-1)!.row).toBe(3100);
    const path = shared("parquet/clinc150/test-00000-of-00001.parquet");
    await expect(read(path, { column: "words" })).rejects.toThrow("expected a column words, got text, intent");
    await expect(read(path, { column: "intent" })).rejects.toThrow("row 1: expected text in column intent");
  });

  withData("gzipped JSON lines: the 1,000 documents of C4, as JSON.parse of the unpacked file has them", async () => {
    const path = shared("c4-sample/c4_sample.jsonl.gz");
    const lines = gunzipSync(readFileSync(path)).toString("utf8").trim().split("\n");
    expect(lines.length).toBe(1000);
    expect(await texts(path)).toEqual(lines.map((line) => JSON.parse(line).text));
  });

  withData("CSV without a header: all rows of STS-B", async () => {
    const counts = await Promise.all(
      ["train", "dev", "test"].map(
        async (part) => (await read(shared(`stsb/stsb-en-${part}.csv`), { header: false, column: "1" })).length,
      ),
    );
    expect(counts).toEqual([5749, 1500, 1379]);
  });

  withData("TSV with stray quotes, a byte-order mark or gzip: all rows of SST-2 and MRPC", async () => {
    expect((await read(shared("glue/SST-2/train.tsv.gz"), { column: "sentence" })).length).toBe(67349);
    expect((await read(shared("glue/MRPC/train.tsv"), { column: "Quality" })).length).toBe(3668);
  });

  withData("a gzipped JSON array: 194 Wikipedia articles", async () => {
    expect((await read(shared("wikipedia-articles"), { column: "content" })).length).toBe(194);
  });
});

test("a file that is not parquet is an error that names it", async () => {
  await expect(read(write("x.parquet", "this is no parquet file"))).rejects.toThrow(
    /x\.parquet: expected a parquet file, got/,
  );
  await expect(read(write("x.parquet.gz", gzipSync("x")))).rejects.toThrow("Unpack it first");
});
