// Vectors that were computed in parts: a file for each beside where the whole is to be, `vectors.part-0003-of-0064.npy`, and
// the whole made of them: one header over the rows of all, or the lines of all.

import { closeSync, fsyncSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { namingPath, temporaryPath, writeAll } from "./atomic.js";
import { InputError } from "./input-error.js";
import { type Part, partName, partNamed, partsAmong, partsText } from "./part.js";
import { type RowsHeader, readRowsHeader, rowsHeader, vectorFormat } from "./vector-file.js";

const CHUNK_BYTES = 1 << 22;

/** The file of one part of the vectors of `path`. */
export function partPath(path: string, part: Part): string {
  const extension = extname(path);
  return `${path.slice(0, -extension.length)}.${partName(part)}${extension}`;
}

/**
 * Makes `path` of the files of its parts, which stay. Returns their number. Throws where parts are missing, naming them, or
 * hold other vectors than the first, and for parquet, whose readers take the parts as they are.
 */
export function joinVectorParts(path: string): number {
  const format = vectorFormat(path);
  const [base, extension] = [basename(path, extname(path)), extname(path)];
  const names = readdirSync(dirname(path)).flatMap((name) =>
    name.startsWith(`${base}.`) && name.endsWith(extension) ? [name.slice(base.length + 1, -extension.length)] : [],
  );
  const { of, there, missing } = partsAmong(names.filter(partNamed), path);
  const [first] = there;
  if (first === undefined || missing.length > 0) {
    const got = first === undefined ? "none" : `${there.length} of ${of} (missing: ${partsText(missing)})`;
    throw new InputError(
      `${path}: expected the files of all parts beside it, such as ${base}.${partName(first ?? { number: 1, of: 4 })}${extension}, got ${got}\n` +
        "Make them with: neobert embed MODEL FILE --out ... --part i/n",
    );
  }
  const parts = there.map((part) => partPath(path, part));
  if (format === "parquet") {
    throw new InputError(
      `${path}: expected .npy, .safetensors or .jsonl, got parquet, whose readers take many files as one\n` +
        `Give them the parts as they are: ${join(dirname(path), `${base}.part-*${extension}`)}`,
    );
  }
  const headers = format === "jsonl" ? undefined : parts.map((part) => readRowsHeader(part, format));
  const temporary = temporaryPath(path);
  const fd = openSync(temporary, "wx");
  try {
    namingPath(path, () => {
      if (headers && format !== "jsonl") writeAll(fd, rowsHeader(format, sumOf(headers, parts)));
      for (const [index, part] of parts.entries()) copyInto(fd, part, headers?.[index]?.bytes ?? 0);
      fsyncSync(fd);
    });
    renameSync(temporary, path);
  } finally {
    closeSync(fd);
    rmSync(temporary, { force: true });
  }
  return parts.length;
}

function sumOf(headers: readonly RowsHeader[], parts: readonly string[]): RowsHeader {
  const [first] = headers as [RowsHeader];
  const other = headers.findIndex(({ type, d }) => type !== first.type || d !== first.d);
  if (other < 0) return { ...first, n: headers.reduce((sum, { n }) => sum + n, 0) };
  const { type, d } = headers[other]!;
  throw new InputError(
    `${parts[other]}: expected vectors of ${first.d} values of ${first.type}, as in ${parts[0]}, got ${d} of ${type}\n` +
      "Compute all parts with the same model and options.",
  );
}

function copyInto(target: number, path: string, start: number): void {
  const source = openSync(path, "r");
  try {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, statSync(path).size));
    for (let position = start; ; ) {
      const bytes = readSync(source, chunk, 0, chunk.length, position);
      if (bytes === 0) return;
      writeAll(target, chunk.subarray(0, bytes));
      position += bytes;
    }
  } finally {
    closeSync(source);
  }
}
