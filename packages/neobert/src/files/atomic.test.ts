import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { createFileAtomic, replaceFolder, temporaryPath, writeAll, writeFileAtomic } from "./atomic.js";
import { globToRegExp } from "./glob.js";

const folder = mkdtempSync(join(tmpdir(), "atomic-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("the former file is there under its name until the new one is whole", () => {
  const path = join(folder, "file.txt");
  writeFileAtomic(path, "old ä");
  createFileAtomic(path, (fd) => {
    writeAll(fd, Buffer.from("new"));
    expect(readFileSync(path, "utf8")).toBe("old ä");
  });
  expect(readFileSync(path, "utf8")).toBe("new");
  expect(readdirSync(folder)).toEqual(["file.txt"]);
});

test("a failure leaves no file and no temporary name", () => {
  const fail = () =>
    createFileAtomic(join(folder, "never"), (fd) => {
      writeAll(fd, Uint8Array.of(1, 2, 3));
      throw new Error("disk full");
    });
  expect(fail).toThrow("disk full");
  expect(readdirSync(folder)).toEqual(["file.txt"]);
});

test("a folder takes the place of the one that had its name, and nothing of the former is left", () => {
  const final = join(folder, "checkpoint");
  for (const version of ["one", "two"]) {
    const temporary = temporaryPath(final);
    mkdirSync(join(temporary, "inner"), { recursive: true });
    writeFileSync(join(temporary, "inner", version), version);
    replaceFolder(temporary, final);
    expect(existsSync(temporary)).toBe(false);
  }
  expect(readdirSync(join(final, "inner"))).toEqual(["two"]);
  expect(readdirSync(folder).sort()).toEqual(["checkpoint", "file.txt"]);
});

test.each([
  ["*.txt", ["a.txt", ".txt"], ["a/b.txt", "a.txt.gz", "atxt"]],
  ["data/**", ["data/a", "data/a/b"], ["data", "other/data/a"]],
  ["**/*.json", ["a.json", "a/b/c.json"], ["a.jsonl"]],
  ["a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]],
  ["file-?.csv", ["file-1.csv"], ["file-10.csv", "file-/.csv"]],
  ["a+(b)[c].x", ["a+(b)[c].x"], ["aab.x"]],
])("the pattern %s matches the paths it should and no others", (pattern, matches, others) => {
  expect([...matches, ...others].filter((path) => globToRegExp(pattern).test(path))).toEqual(matches);
});
