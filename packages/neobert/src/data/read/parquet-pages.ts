// What a parquet file declares about its pages, checked against the rest of it before hyparquet decodes them: it takes counts
// at their word, and a damaged one would fill the memory or run for hours. Values and sizes are checked in the pages'
// headers, counts that agree with each other against the bytes there are; the runs of levels and of dictionary indices (RLE and bit-packed, https://parquet.apache.org/docs/file-format/
// data-pages/encodings/) where the page is unpacked, which its decompressor does, so that no page is unpacked twice.
// NOTE: four functions are from inside hyparquet, whose minor versions may move them: package.json keeps to this one.

import type { AsyncBuffer, ColumnMetaData, Compressors, FileMetaData, PageHeader, RowGroup } from "hyparquet";
import { parquetHeader } from "hyparquet/src/column.js";
import { deltaBinaryUnpack } from "hyparquet/src/delta.js";
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getSchemaPath } from "hyparquet/src/schema.js";
import { compressors } from "hyparquet-compressors";
import { shown } from "../../files/checked.js";

/** Values of a row group that few bytes may stand for, as of a column that says the same everywhere; and those of a byte. */
const MAX_VALUES = 1 << 24;
const VALUES_OF_A_BYTE = 32;
/** Bytes that a page of few bytes may unpack to, and how many times its own a page of any codec may. */
const MAX_UNPACKED = 1 << 26;
const MAX_RATIO = 1100;
/** How many times its bytes the texts of a page may be that repeat each other's beginnings. */
const MAX_REPETITION = 100;
/** Codecs that cannot unpack to more. */
const ratios: Partial<Record<ColumnMetaData["codec"], number>> = {
  UNCOMPRESSED: 1,
  SNAPPY: 32,
  LZ4: 256,
  LZ4_RAW: 256,
};
/** Bytes of a value in a dictionary; of a text those of its length. */
const valueBytes: Partial<Record<ColumnMetaData["type"], number>> = {
  INT32: 4,
  INT64: 8,
  INT96: 12,
  FLOAT: 4,
  DOUBLE: 8,
  BYTE_ARRAY: 4,
};

/** The widths in bits of a column's levels; 0 where it has none. */
interface LevelWidths {
  repetition: number;
  definition: number;
}

/**
 * Decompressors that check what they unpack of a row group's columns; a column is given a codec of its own name for that.
 * Throws where the pages are not what the footer says: values in all, bytes of each.
 */
export function checkedPages(
  file: AsyncBuffer,
  metadata: FileMetaData,
  group: RowGroup,
  columns: readonly string[],
): Compressors {
  checkValues(group, columns);
  const checked: Record<string, NonNullable<Compressors[keyof Compressors]>> = {};
  for (const [index, { meta_data: column }] of group.columns.entries()) {
    if (!column || !columns.includes(column.path_in_schema[0]!)) continue;
    const path = getSchemaPath(metadata.schema, column.path_in_schema);
    const widths = { repetition: bits(getMaxRepetitionLevel(path)), definition: bits(getMaxDefinitionLevel(path)) };
    const isFlat = path.every(({ element }) => element.repetition_type !== "REPEATED");
    const pages = pageHeaders(file, column, { isFlat, rows: Number(group.num_rows), widths });
    const { codec } = column;
    const unpack = codec === "UNCOMPRESSED" ? (bytes: Uint8Array) => bytes : compressors[codec];
    if (!unpack) throw new Error(`the codec ${codec}, which is not known`);
    const packed = pages.filter(({ data_page_header_v2: v2 }) => v2?.is_compressed !== false);
    checked[`column ${index}`] = (bytes, length) => {
      let page: Uint8Array;
      try {
        page = unpack(bytes, length);
      } catch (error) {
        const name = column.path_in_schema.join(".");
        throw new Error(`a page that is not ${codec}, in column ${shown(name)},`, { cause: error });
      }
      checkPage(page, packed.shift()!, widths, column.type);
      return page;
    };
    column.codec = `column ${index}` as ColumnMetaData["codec"];
  }
  return checked as Compressors;
}

/** Throws where the columns have more values than their bytes can be thought to stand for: all are in memory at once. */
function checkValues({ columns: all, num_rows: rows }: RowGroup, columns: readonly string[]): void {
  const chosen = all.flatMap(({ meta_data: column }) => {
    return column && columns.includes(column.path_in_schema[0]!) ? [column] : [];
  });
  const values = chosen.reduce((sum, column) => sum + Number(column.num_values), 0);
  const bytes = chosen.reduce((sum, column) => sum + Number(column.total_compressed_size), 0);
  const most = Math.max(MAX_VALUES, VALUES_OF_A_BYTE * bytes);
  if (!(values <= most) || !(Number(rows) <= most)) {
    throw new Error(`a row group of ${values} values in ${bytes} bytes, of which at most ${most} are read,`);
  }
}

const bits = (level: number) => 32 - Math.clz32(level);

function pageHeaders(
  file: AsyncBuffer,
  column: ColumnMetaData,
  { isFlat, rows, widths }: { isFlat: boolean; rows: number; widths: LevelWidths },
): PageHeader[] {
  const values = Number(column.num_values);
  const name = column.path_in_schema.join(".");
  if (isFlat ? values !== rows : values < rows) throw new Error(`${values} values in column ${name} of ${rows} rows`);
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  if (!(start >= 0 && end <= file.byteLength)) throw new Error(`column ${name} from ${start} to ${end}`);
  const headers: PageHeader[] = [];
  let seen = 0;
  for (let at = start; at < end && seen < values; ) {
    const { header, length } = pageHeader(file, at, end);
    const { compressed_page_size: packed, uncompressed_page_size: unpacked, data_page_header_v2: v2 } = header;
    const count = header.data_page_header?.num_values ?? v2?.num_values ?? 0;
    const data = at + length;
    at = data + packed;
    const isPage =
      Number.isInteger(packed) &&
      Number.isInteger(unpacked) &&
      packed >= 0 &&
      at <= end &&
      unpacked >= 0 &&
      unpacked <= Number(column.total_uncompressed_size) &&
      unpacked <= mostUnpacked(column.codec, packed);
    if (!isPage) throw new Error(`a page of ${shown(packed)} bytes, ${shown(unpacked)} unpacked, in column ${name}`);
    const { num_values: words = 0 } = header.dictionary_page_header ?? {};
    const isCounted = Number.isInteger(count) && count >= 0 && words * (valueBytes[column.type] ?? 1) <= unpacked;
    if (!isCounted) throw new Error(`a page of ${shown(count || words)} values in column ${name}`);
    if (v2) checkLevelsV2(new Uint8Array(file.slice(data, at) as ArrayBuffer), header, widths, column.type);
    headers.push(header);
    seen += count;
  }
  if (seen !== values) throw new Error(`pages of ${seen} values in column ${name} of ${values}`);
  return headers;
}

function mostUnpacked(codec: ColumnMetaData["codec"], packed: number): number {
  const ratio = ratios[codec];
  return ratio === undefined ? Math.max(MAX_UNPACKED, MAX_RATIO * packed) : ratio * packed + 64;
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

/** The levels of a page of version 2, which stand unpacked before its values; and the values where they are not packed. */
function checkLevelsV2(page: Uint8Array, header: PageHeader, widths: LevelWidths, type: string): void {
  const v2 = header.data_page_header_v2!;
  const { num_values: count, num_nulls: nulls } = v2;
  const { repetition_levels_byte_length: repetition, definition_levels_byte_length: definition } = v2;
  const areCounts = [count, nulls, repetition, definition].every((value) => Number.isInteger(value) && value >= 0);
  if (!areCounts || nulls > count || repetition + definition > page.length) {
    throw new Error(`levels of ${shown(repetition)} and ${shown(definition)} bytes`);
  }
  if (widths.repetition > 0) checkRuns(page, 0, widths.repetition, count);
  if (widths.definition > 0) checkRuns(page, repetition, widths.definition, count);
  if (v2.is_compressed === false) checkPage(page.subarray(repetition + definition), header, widths, type);
}

/** The runs of an unpacked page: levels where it is of version 1, and the values where they are runs. */
function checkPage(page: Uint8Array, header: PageHeader, widths: LevelWidths, type: string): void {
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const { num_values: count, encoding } = v1 ?? v2 ?? { num_values: 0, encoding: "PLAIN" };
  let at = 0;
  for (const width of v1 ? [widths.repetition, widths.definition] : []) {
    if (width === 0) continue;
    checkRuns(page, at + 4, width, count);
    at += 4 + lengthAt(page, at);
  }
  if (type === "BOOLEAN" && encoding === "RLE") checkRuns(page, at + 4, 1, count, true);
  else if (encoding === "DELTA_BYTE_ARRAY") checkPrefixes(page, at, count);
  else if (encoding.startsWith("DELTA")) checkDeltas(page, at, count);
  else if (encoding.endsWith("DICTIONARY") && (page[at] ?? 0) > 0) checkRuns(page, at + 1, page[at]!, count, true);
}

/** The number of values of delta-coded numbers. Throws where the head of their blocks is none. */
function checkDeltas(page: Uint8Array, start: number, count: number): number {
  const [, afterSize] = varintAt(page, start);
  const [miniblocks, afterBlocks] = varintAt(page, afterSize);
  const [values] = varintAt(page, afterBlocks);
  if (miniblocks > page.length || values > count) throw new Error(`${values} deltas among ${count} values`);
  return values;
}

/** Throws where texts that repeat the beginning of the one before are together of a size that few bytes cannot mean. */
function checkPrefixes(page: Uint8Array, start: number, count: number): void {
  const values = checkDeltas(page, start, count);
  const reader = { view: new DataView(page.buffer, page.byteOffset, page.length), offset: start };
  const [prefixes, suffixes] = [new Int32Array(values), new Int32Array(values)];
  deltaBinaryUnpack(reader, values, prefixes);
  if (checkDeltas(page, reader.offset, count) !== values) throw new Error(`beginnings and ends of ${values} texts`);
  deltaBinaryUnpack(reader, values, suffixes);
  const bytes = prefixes.reduce((sum, length, i) => sum + length + suffixes[i]!, 0);
  const most = Math.max(MAX_UNPACKED, MAX_REPETITION * page.length);
  if (bytes > most) throw new Error(`texts of ${bytes} bytes in a page of ${page.length}`);
}

/** A whole number in groups of seven bits, and where it ends. */
function varintAt(page: Uint8Array, start: number): [value: number, end: number] {
  let [at, value, shift] = [start, 0, 0];
  for (let byte = 128; byte >= 128; shift += 7) {
    byte = page[at++] ?? Number.NaN;
    value += (byte % 128) * 2 ** shift;
  }
  if (Number.isNaN(value)) throw new Error("a page that ends within a number");
  return [value, at];
}

function lengthAt(page: Uint8Array, at: number): number {
  if (at + 4 > page.length) throw new Error("a page that ends within its levels");
  return new DataView(page.buffer, page.byteOffset + at, 4).getUint32(0, true);
}

/** Throws where runs of values of so many bits are longer than there are values or bytes; fewer values are `allowed`. */
function checkRuns(page: Uint8Array, start: number, width: number, count: number, mayEnd = false): void {
  let [at, seen] = [start, 0];
  while (seen < count) {
    if (mayEnd && at >= page.length) return; // nulls have no value
    const [header, end] = varintAt(page, at);
    at = end;
    const run = Math.floor(header / 2);
    const isPacked = header % 2 === 1;
    at += isPacked ? run * width : Math.ceil(width / 8);
    // The last group may be cut where its values end.
    if (!(run <= count || isPacked) || !(at < page.length + 8 * width))
      throw new Error(`a run of ${run} among ${count} values`);
    seen += isPacked ? 8 * run : run;
  }
}
