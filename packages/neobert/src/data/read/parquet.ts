// Rows of a parquet file, one row group at a time and only of the columns asked for. hyparquet decodes what parquet-pages.ts
// has found to hold together.

import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type AsyncBuffer, parquetMetadataAsync, parquetRead, parquetSchema, type SchemaTree } from "hyparquet";
import { shortened } from "../../files/checked.js";
import { refuseLfsPointer } from "../../files/input-file.js";
import { checkedPages } from "./parquet-pages.js";

/**
 * Yields the rows as objects of the columns that `choose` takes of all names; 64-bit whole numbers are numbers up to 2^53,
 * else bigint. Throws naming file and row.
 */
export async function* readParquet(
  path: string,
  choose: (names: string[]) => string[],
): AsyncGenerator<Record<string, unknown>> {
  if (/\.(gz|zst)$/i.test(path)) {
    throw new Error(
      `${path}: expected a plain parquet file, which is compressed inside, got a compressed one\nUnpack it first.`,
    );
  }
  const handle = path === "-" ? undefined : await open(path);
  let row = 0;
  try {
    const stat = await handle?.stat();
    if (!handle || !stat?.isFile()) {
      throw new Error(
        `${path}: expected a parquet file, which is read from its end, got a pipe\nSave it as a file first.`,
      );
    }
    refuseLfsPointer(path, new Uint8Array(slice(handle, 0, Math.min(64, stat.size))));
    const file: AsyncBuffer = {
      byteLength: stat.size,
      slice: (start, end = stat.size) => slice(handle, start, Math.min(end, stat.size)),
    };
    const metadata = await parquetMetadataAsync(file, { geoparquet: false }); // it counts as many children as are declared
    const tree = parquetSchema(metadata);
    const columns = choose(tree.children.map(({ element }) => element.name));
    const decimals = new Set(tree.children.filter(holdsDecimals).map(({ element }) => element.name));
    for (const group of metadata.row_groups) {
      const compressors = checkedPages(file, metadata, group, columns);
      const [rowStart, rowEnd] = [row, row + Number(group.num_rows)];
      const rows = await new Promise<unknown[][]>((onComplete, reject) => {
        parquetRead({ file, metadata, columns, compressors, parsers, rowStart, rowEnd, onComplete }).catch(reject);
      });
      for (const values of rows) {
        row++;
        const fields = columns.map((name, i) => {
          return [name, exact(values[i], decimals.has(name) ? `${path}: row ${row}: column ${name}` : undefined)];
        });
        yield Object.fromEntries(fields);
      }
    }
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith(path)) throw error;
    // What hyparquet stumbles over in a damaged file says nothing about it.
    const isEngine = error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError;
    const got = isEngine ? "damaged pages or a damaged footer" : shortened(message);
    throw new Error(`${path}: expected a parquet file, got ${got} after row ${row}\nCopy or download it again.`, {
      cause: error,
    });
  } finally {
    await handle?.close();
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const parsers = {
  /** Bytes that are no UTF-8 stay bytes, which no one takes for a text. */
  stringFromBytes(bytes: Uint8Array | undefined): string | undefined {
    try {
      return bytes && utf8.decode(bytes);
    } catch {
      return bytes as unknown as string;
    }
  },
};

function slice({ fd }: FileHandle, start: number, end: number): ArrayBuffer {
  if (!(start >= 0 && end >= start)) throw new Error(`a part of the file from ${start} to ${end}`);
  const bytes = new Uint8Array(end - start);
  for (let done = 0; done < bytes.length; ) {
    const got = readSync(fd, bytes, done, bytes.length - done, start + done);
    if (got === 0) throw new Error("an end of the file before its size");
    done += got;
  }
  return bytes.buffer;
}

const holdsDecimals = ({ element, children }: SchemaTree): boolean =>
  element.converted_type === "DECIMAL" || element.logical_type?.type === "DECIMAL" || children.some(holdsDecimals);

/** 64-bit whole numbers as numbers where that is exact, at any depth; decimals that are not exact are refused as `where`. */
function exact(value: unknown, where: string | undefined): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (typeof value === "number" && where !== undefined && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
    throw new Error(
      `${where}: expected a decimal up to 2^53, got one near ${value}, which is not held exactly\nSave it as text or INT64.`,
    );
  }
  if (Array.isArray(value)) return value.map((item) => exact(item, where));
  if (typeof value !== "object" || value === null || value instanceof Date || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, exact(item, where)]));
}
