// Rows of a parquet file, one row group at a time and only of the columns asked for. What a file declares (values of a page,
// sizes of pages) is checked against the rest of it before anything is unpacked: hyparquet takes it at its word, and a
// damaged count would fill the memory or run for hours.

import { readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { getSchemaPath } from "hyparquet/src/schema.js";
import { compressors } from "hyparquet-compressors";
import { refuseLfsPointer } from "../../files/input-file.js";

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
      for (const { meta_data } of group.columns) {
        if (meta_data && columns.includes(meta_data.path_in_schema[0]!)) {
          checkPages(file, metadata, meta_data, Number(group.num_rows));
        }
      }
      const [rowStart, rowEnd] = [row, row + Number(group.num_rows)];
      for (const record of await parquetReadObjects({ file, metadata, columns, compressors, rowStart, rowEnd })) {
        row++;
        for (const [name, value] of Object.entries(record)) {
          record[name] = exact(value, decimals.has(name) ? `${path}: row ${row}: column ${name}` : undefined);
        }
        yield record;
      }
    }
  } catch (error) {
    const { message } = error as Error;
    if (message.startsWith(path)) throw error;
    throw new Error(`${path}: expected a parquet file, got ${message} after row ${row}\nCopy or download it again.`);
  } finally {
    await handle?.close();
  }
}

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

/** Throws where the pages of a column are not what the footer says: values in all, bytes of each. */
function checkPages(file: AsyncBuffer, metadata: FileMetaData, column: ColumnMetaData, rows: number): void {
  const path = getSchemaPath(metadata.schema, column.path_in_schema);
  const isFlat = path.every(({ element }) => element.repetition_type !== "REPEATED");
  const values = Number(column.num_values);
  const name = column.path_in_schema.join(".");
  if (isFlat ? values !== rows : values < rows) throw new Error(`${values} values in column ${name} of ${rows} rows`);
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  if (!(start >= 0 && end <= file.byteLength)) throw new Error(`column ${name} from ${start} to ${end}`);
  let seen = 0;
  for (let at = start; at < end && seen < values; ) {
    const { header, length } = pageHeader(file, at, end);
    const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
    const count = header.data_page_header?.num_values ?? header.data_page_header_v2?.num_values ?? 0;
    at += length + packed;
    const isPage = packed >= 0 && at <= end && unpacked >= 0 && unpacked <= Number(column.total_uncompressed_size);
    if (!isPage) throw new Error(`a page of ${packed} bytes, ${unpacked} unpacked, in column ${name}`);
    // A dictionary's value takes a bit at least.
    if (count < 0 || (header.dictionary_page_header?.num_values ?? 0) > 8 * unpacked) {
      throw new Error(`a page of ${count} values in column ${name}`);
    }
    seen += count;
  }
  if (seen !== values) throw new Error(`pages of ${seen} values in column ${name} of ${values}`);
}

function pageHeader(file: AsyncBuffer, at: number, end: number) {
  // A header holds the page's least and greatest value, which may be long.
  for (let bytes = 1 << 10; ; bytes <<= 5) {
    const reader = { view: new DataView(file.slice(at, Math.min(end, at + bytes)) as ArrayBuffer), offset: 0 };
    try {
      return { header: parquetHeader(reader), length: reader.offset };
    } catch (error) {
      if (at + bytes >= end || bytes > 1 << 24) throw error;
    }
  }
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
