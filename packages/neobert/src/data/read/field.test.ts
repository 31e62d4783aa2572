// Files as people have them: odd line ends, quotes, encodings, numbers, damage. Oracles: Python's csv and json, the zstd
// command line, and by hand.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { parquetWriteFile } from "hyparquet-writer";
import { afterAll, describe, expect, test } from "vitest";
import { compiledFile } from "../../files/package.js";
import { allRecords } from "./fixture-records.js";
import { type ReadOptions, readDocuments } from "./read.js";
import { unzstd } from "./unzstd.js";

const root = mkdtempSync(join(tmpdir(), "neobert-field-"));
afterAll(() => rmSync(root, { recursive: true }));

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(join(root, name), content);
  return join(root, name);
}

async function texts(path: string, options?: ReadOptions): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of readDocuments(path, options)) found.push(text);
  return found;
}

const ids = ["1234567890123456784", "-1234567890123456785", "18446744073709551615"];

describe("whole numbers beyond 2^53", () => {
  const asText = (records: Record<string, unknown>[]) => records.map(({ id }) => String(id));

  test("keep their digits in JSON lines, JSON, TSV and parquet, at any depth", async () => {
    const lines = ids.map((id) => `{"id": ${id}, "text": "a \\" ${id}", "n": [{"id":${id}}], "f": 1.5}`);
    for (const path of [write("i.jsonl", lines.join("\n")), write("i.json", `[${lines.join(",")}]`)]) {
      const records = await allRecords(path);
      expect(asText(records)).toEqual(ids);
      expect(records[0]).toMatchObject({ text: `a " ${ids[0]}`, n: [{ id: BigInt(ids[0]!) }], f: 1.5 });
    }
    expect(asText(await allRecords(write("i.tsv", `id\n${ids.join("\n")}\n`)))).toEqual(ids);
    const filename = join(root, "i.parquet");
    parquetWriteFile({
      filename,
      columnData: [{ name: "id", data: ids.slice(0, 2).map(BigInt), type: "INT64" }],
    });
    expect(asText(await allRecords(filename))).toEqual(ids.slice(0, 2));
  });

  test("small numbers, fractions, powers and digits in strings are what JSON.parse makes of them", async () => {
    const json =
      '{"a":9007199254740991,"b":0.12345678901234567890,"c":1e300,"d":"NaN 12345678901234567890 \\\\","e":-0.5}';
    expect(await allRecords(write("s.jsonl", json))).toEqual([JSON.parse(json)]);
  });
});

test("NaN and the infinities are numbers as Python's json reads them, and a text that is NaN is empty", async () => {
  const path = write(
    "nan.jsonl",
    '{"text":"NaN, -Infinity","score":NaN}\n{"text":NaN,"score":-Infinity}\n{"text":"x","score":Infinity}\n',
  );
  expect(await texts(path)).toEqual(["NaN, -Infinity", "", "x"]);
  expect((await allRecords(path)).map(({ score }) => score)).toEqual([Number.NaN, -Infinity, Infinity]);
  await expect(texts(write("nan2.jsonl", '{"text":"a"}\n{"text":NaNs}\n'))).rejects.toThrow(
    "nan2.jsonl:2: expected JSON",
  );
});

describe("CSV and TSV", () => {
  test("each record has its own line end, and none is left in a field", async () => {
    const expected = [
      { a: "x", b: "1" },
      { a: "y\nz", b: "2" },
      { a: "w", b: "3" },
    ];
    for (const [head, first, second, third] of [
      ["\r\n", "\n", "\n", ""],
      ["\n", "\r\n", "\r\n", "\r\n"],
      ["\n", "\r\n", "\n", "\r\n"],
      ["\r", "\r", "\r", "\r"],
    ]) {
      const csv = `a,b${head}x,1${first}"y\nz",2${second}w,3${third}`;
      expect(await allRecords(write("ends.csv", csv))).toEqual(expected);
      const tsv = `a\tb${head}x\t1${first}w\t3${third}`;
      expect(await allRecords(write("ends.tsv", tsv))).toEqual([expected[0], expected[2]]);
    }
    expect(await texts(write("one.csv", "text\r\none\ntwo\nthree\n"))).toEqual(["one", "two", "three"]);
  });

  test("stray quotes are refused with file, line and the way out, and read as text where that is asked for", async () => {
    const stray = write("stray.csv", 'text,b\n5" pipe,1\nsaid "yes" twice,2\n"fully, quoted",3\n "space",4\n');
    await expect(texts(stray)).rejects.toThrow(/stray\.csv:2: expected CSV, got .*\n.*quotes "loose"/);
    expect(await texts(stray, { quotes: "loose" })).toEqual([
      '5" pipe',
      'said "yes" twice',
      "fully, quoted",
      ' "space"',
    ]);
    const backslash = write("backslash.csv", 'text,b\n"say \\"hi\\", ok",1\n"two",2\n');
    await expect(texts(backslash)).rejects.toThrow(/backslash\.csv:2: .*\n.*"backslash"/);
    expect(await texts(backslash, { quotes: "backslash" })).toEqual(['say "hi", ok', "two"]);
    expect(await texts(write("q.tsv", 'text\tb\n"a\tb"\t1\n'), { quotes: "doubled" })).toEqual(["a\tb"]);
  });

  test("another separator is named", async () => {
    const path = write("semicolon.csv", 'text;score\n"a";1,5\nb;2,5\n');
    for (const read of [texts, allRecords]) {
      await expect(read(path)).rejects.toThrow('semicolon.csv: expected columns with "," between them, got ";"');
    }
  });
});

describe("encodings", () => {
  const text = "first line\r\nzweite äöü\n三行目 😀\n";
  const wide = (bigEndian: boolean, mark: string, value = text) => {
    const bytes = Buffer.from(mark + value, "utf16le");
    return bigEndian ? bytes.swap16() : bytes;
  };

  test("UTF-16 is read where a mark tells, in either order of bytes", async () => {
    for (const bigEndian of [false, true]) {
      const path = write("wide.txt", wide(bigEndian, "\ufeff"));
      expect(await texts(path, { split: "line" })).toEqual(["first line", "zweite äöü", "三行目 😀"]);
      expect(await texts(write("wide.tsv", wide(bigEndian, "\ufeff", "text\tb\r\nä\t1\r\n")))).toEqual(["ä"]);
    }
  });

  test("UTF-16 without a mark is refused by its name, latin1 by its own", async () => {
    await expect(texts(write("le.txt", wide(false, "")))).rejects.toThrow(/le\.txt: .*\n.*iconv -f UTF-16LE/);
    await expect(texts(write("be.txt", wide(true, "")))).rejects.toThrow(/be\.txt: .*\n.*iconv -f UTF-16BE/);
    await expect(texts(write("l1.txt", Buffer.from("gr\xfcn", "latin1")))).rejects.toThrow("iconv -f latin1");
    await expect(texts(write("half.txt", wide(false, "\ufeff").subarray(0, 7)))).rejects.toThrow("expected UTF-16LE");
  });

  test("a mark in the middle is a character of a text, and none of JSON lines", async () => {
    expect(await texts(write("m.txt", "\ufeffa\n\ufeffb\n"), { split: "line" })).toEqual(["a", "\ufeffb"]);
    expect(await texts(write("m.jsonl", '\ufeff{"text":"a"}\n\ufeff{"text":"b"}\n'))).toEqual(["a", "b"]);
  });
});

describe("compression", () => {
  // zstd -q --long=31 --ultra -22 of 48 bytes: a window of 2 GiB. Then the same frame with a letter changed.
  const long = Buffer.from(
    "KLUv/QSobQEAZAJ7InRleHQiOiAibG9uZyB3aW5kb3cifQpzZWNvbmQgbGluZSJ9CgEA7DbHPLZlww==",
    "base64",
  );
  const expected = '{"text": "long window"}\n{"text": "second line"}\n';

  test("a frame's window of 2 GiB takes no more memory than the frame is long", async () => {
    expect(await texts(write("long.jsonl.zst", long))).toEqual(["long window", "second line"]);
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(2 ** 28);
  });

  test("a byte that has changed is refused, whether zstd or gzip", async () => {
    const changed = Buffer.from(long);
    changed[changed.indexOf("wind")] = 0x57;
    await expect(texts(write("c.jsonl.zst", changed))).rejects.toThrow("c.jsonl.zst: expected a whole compressed file");
    const gzip = gzipSync(expected, { level: 0 });
    gzip[gzip.indexOf("wind")] = 0x57;
    await expect(texts(write("c.jsonl.gz", gzip))).rejects.toThrow("c.jsonl.gz: expected a whole compressed file");
  });

  test("a window of which no memory is to be had is refused with its size", async () => {
    const raw = Buffer.alloc(3 + 1000, 1);
    raw.writeUIntLE(1000 << 3, 0, 3); // a block that is not the last
    const blocks = Array.from({ length: 80 }, () => raw);
    const wide = (descriptor: string) => Buffer.concat([Buffer.from(`28b52ffd00${descriptor}`, "hex"), ...blocks]);
    const all = async function* (bytes: Buffer) {
      yield bytes;
    };
    await expect(unzstd(all(wide("a8")), { useNative: false }).next()).rejects.toThrow("a window of 2048 MiB");
    await expect(texts(write("wide.txt.zst", wide("b0")))).rejects.toThrow(/wide\.txt\.zst: .*a window of 4096 MiB/);
  });

  test("blocks, runs and all frames come out as zstd's own, in chunks of any length, by either decoder", async () => {
    const numbers = Array.from({ length: 60_000 }, (_, i) => `${i * 7919} `);
    const content = Buffer.from(`${"a".repeat(300_000)}${numbers.join("")}`);
    const skippable = Buffer.from("502a4d18030000006f6e65", "hex");
    for (const args of [["-1"], ["-19", "--long=27"], ["--no-check"]]) {
      const frame = execFileSync("zstd", ["-q", "-c", ...args], { input: content });
      const packed = Buffer.concat([frame, skippable, frame]);
      const chunks = async function* () {
        for (let at = 0; at < packed.length; at += 997) yield packed.subarray(at, at + 997);
      };
      for (const useNative of [true, false]) {
        const parts: Uint8Array[] = [];
        for await (const part of unzstd(chunks(), { useNative })) parts.push(part);
        expect(Buffer.concat(parts).equals(Buffer.concat([content, content]))).toBe(true);
      }
    }
  });
});

describe("parquet", () => {
  const nested = fileURLToPath(new URL("../../../../../test/golden/read/nested.parquet", import.meta.url));

  test("dots reach into a struct", async () => {
    const [first] = await allRecords(nested);
    const inside = (first!.doc as { text: string }).text;
    expect(inside).toEqual(expect.any(String));
    expect((await texts(nested, { column: "doc.text" }))[0]).toBe(inside);
    await expect(texts(nested, { column: "doc.body" })).rejects.toThrow("expected a column doc.body");
  });

  test("a file with any one byte changed is read or refused within a second", async () => {
    const whole = readFileSync(nested);
    let slowest = 0;
    for (let at = 4; at < whole.length; at += 3) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0x7f;
      const path = write("changed.parquet", bytes);
      const start = performance.now();
      await allRecords(path).catch(({ message }) => expect(message).toContain(path));
      slowest = Math.max(slowest, performance.now() - start);
    }
    expect(slowest).toBeLessThan(1000);
  });
});

test("a Git LFS pointer is named as one in every format", async () => {
  const pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:5a5a\nsize 90868376\n";
  for (const name of ["p.txt", "p.jsonl", "p.json", "p.csv", "p.tsv", "p.parquet", "p.jsonl.gz", "p.txt.zst"]) {
    await expect(texts(write(name, pointer))).rejects.toThrow(/p\.[a-z.]+: .*Git LFS pointer.*\n.*git lfs pull/);
  }
});

test("a pipe is read once: a JSON array in one has all its elements", async () => {
  const pipe = join(root, "pipe.json");
  execFileSync("mkfifo", [pipe]);
  spawn("sh", ["-c", `printf '[{"a":1},{"a":2}]' > ${pipe}`]);
  expect(await allRecords(pipe)).toEqual([{ a: 1 }, { a: 2 }]);
});

test("a folder of more files than a call takes arguments is listed", () => {
  const folder = join(root, "many/deep");
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < 20_000; i++) writeFileSync(join(folder, `${i}.txt`), "");
  // The limit is the stack's, here smaller than usual so that fewer files show it.
  const program = `import(${JSON.stringify(compiledFile("files/glob"))}).then(({ walkFiles }) => console.log(walkFiles(${JSON.stringify(join(root, "many"))}).length))`;
  expect(execFileSync(process.execPath, ["--stack-size=150", "-e", program]).toString()).toBe("20000\n");
});
