// Vectors of texts written to a file as they come, so that a file may be larger than memory: .npy, .safetensors (one tensor,
// `embeddings`), .jsonl and .parquet (each with the texts). A file is whole under its name or not there.

import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { fileWriter, ParquetWriter } from "hyparquet-writer";
import { namingPath, temporaryPath, writeAll } from "./atomic.js";
import { openRegularFile } from "./input-file.js";
import { NPY_HEADER_BYTES, type NpyArray, type NpyType, npyHeader } from "./npy.js";
import { formatHeader } from "./safetensors-header.js";

export const vectorFormats = ["npy", "safetensors", "jsonl", "parquet"] as const;
export type VectorFormat = (typeof vectorFormats)[number];

export interface VectorFile {
  /** Adds the vectors [n, d] of n texts. */
  write(texts: readonly string[], data: NpyArray, d: number): void;
  /** Gives the file its name. Nothing is there before. */
  close(): void;
  /** Leaves no file. After `close` this does nothing. */
  abandon(): void;
}

/** The format that a path's extension names. Throws where it names none of them. */
export function vectorFormat(path: string): VectorFormat {
  const format = vectorFormats.find((format) => path.endsWith(`.${format}`));
  if (format) return format;
  throw new Error(`${path}: expected a name that ends in .${vectorFormats.join(", .")}, got another`);
}

/** Opens a file for vectors, by the path's extension. */
export function createVectorFile(path: string): VectorFile {
  const format = vectorFormat(path);
  const temporary = temporaryPath(path);
  const sink =
    format === "parquet"
      ? parquetSink(temporary)
      : format === "jsonl"
        ? jsonSink(temporary)
        : rowSink(temporary, format);
  let [open, width] = [true, -1];
  return {
    write: (texts, data, d) => {
      if (width >= 0 && width !== d) throw new Error(`${path}: expected vectors of ${width} values, got ${d}`);
      width = d;
      namingPath(path, () => sink.write(texts, data, d));
    },
    close: () => {
      namingPath(path, () => sink.close());
      renameSync(temporary, path);
      open = false;
    },
    abandon: () => {
      if (!open) return;
      open = false;
      sink.stop();
      rmSync(temporary, { force: true });
    },
  };
}

interface Sink {
  write: VectorFile["write"];
  /** Finishes the file. */
  close(): void;
  /** Lets go of an unfinished one. */
  stop(): void;
}

/** A header of fixed length, written again at the end when the number of rows is known, and the rows. */
function rowSink(path: string, format: "npy" | "safetensors"): Sink {
  const fd = openSync(path, "wx");
  let [n, d] = [0, 0];
  let type: NpyType = "Float32Array";
  writeAll(fd, new Uint8Array(headerBytes[format]));
  return {
    write: (_, data, width) => {
      type = data[Symbol.toStringTag];
      d = width;
      n += data.length / width;
      writeAll(fd, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    },
    close: () => {
      const bytes = rowsHeader(format, { type, n, d });
      writeSync(fd, bytes, 0, bytes.length, 0);
      fsyncSync(fd);
      closeSync(fd);
    },
    stop: () => closeSync(fd),
  };
}

const safetensorsTypes = { Float32Array: "F32", Int8Array: "I8", Uint8Array: "U8" } as const;
const SAFETENSORS_HEADER_BYTES = 256;
const headerBytes = { npy: NPY_HEADER_BYTES, safetensors: SAFETENSORS_HEADER_BYTES };

/** What stands before the rows of a file: their type, number and width, and how many bytes it takes. */
export interface RowsHeader {
  type: NpyType;
  n: number;
  d: number;
  bytes: number;
}

/** The header of a file of rows; it has the same length whatever it says. */
export const rowsHeader = (format: "npy" | "safetensors", { type, n, d }: Omit<RowsHeader, "bytes">): Uint8Array =>
  format === "npy" ? npyHeader(type, [n, d]) : safetensorsHeader(type, n, d);

/** The header of a file of rows that was written here. Throws where it is another file, or its rows are not all there. */
export function readRowsHeader(path: string, format: "npy" | "safetensors"): RowsHeader {
  const bytes = headerBytes[format];
  const start = Buffer.alloc(bytes);
  const fd = openRegularFile(path);
  try {
    readSync(fd, start, 0, bytes, 0);
    const text = start.toString("latin1");
    const [, shape] = /\(?\[?(\d+, ?\d+)[\])]/.exec(text.slice(10)) ?? [];
    const [n = 0, d = 0] = (shape ?? "").split(",").map(Number);
    for (const type of Object.keys(safetensorsTypes) as NpyType[]) {
      const isSame = Buffer.compare(rowsHeader(format, { type, n, d }), start) === 0;
      const size = bytes + n * d * (type === "Float32Array" ? 4 : 1);
      if (isSame && fstatSync(fd).size === size) return { type, n, d, bytes };
    }
  } finally {
    closeSync(fd);
  }
  throw new Error(
    `${path}: expected a whole .${format} file of \`neobert embed\`, got another\nCompute the part again.`,
  );
}

function safetensorsHeader(type: keyof typeof safetensorsTypes, n: number, d: number): Uint8Array {
  const byteLength = n * d * (type === "Float32Array" ? 4 : 1);
  const entry = { name: "embeddings", dtype: safetensorsTypes[type], shape: [n, d], byteLength, start: 0 };
  const json = formatHeader([entry]).subarray(8);
  const header = Buffer.alloc(SAFETENSORS_HEADER_BYTES, " "); // the format allows spaces behind the object
  header.writeBigUInt64LE(BigInt(SAFETENSORS_HEADER_BYTES - 8));
  header.set(json, 8);
  return header;
}

function jsonSink(path: string): Sink {
  const fd = openSync(path, "wx");
  return {
    write: (texts, data, d) => {
      const lines = texts.map((text, i) => jsonLine(text, data.subarray(i * d, (i + 1) * d)));
      writeAll(fd, Buffer.from(lines.join("")));
    },
    close: () => {
      fsyncSync(fd);
      closeSync(fd);
    },
    stop: () => closeSync(fd),
  };
}

/** `{"text":...,"embedding":[...]}` and a line end. Float values are as short as float32 allows. */
export function jsonLine(text: string, vector: NpyArray): string {
  const values = vector instanceof Float32Array ? Array.from(vector, shortest) : Array.from(vector);
  return `${JSON.stringify({ text, embedding: values })}\n`;
}

/** The number with the fewest digits that is this float32. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

function parquetSink(path: string): Sink {
  const writer = fileWriter(path);
  let parquet: ParquetWriter | undefined;
  const open = (data: NpyArray) => {
    const element =
      data instanceof Float32Array
        ? ({ type: "FLOAT" } as const)
        : ({ type: "INT32", converted_type: data instanceof Int8Array ? "INT_8" : "UINT_8" } as const);
    return new ParquetWriter({
      writer,
      createdBy: "neobert",
      schema: [
        { name: "root", num_children: 2 },
        { name: "text", type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" },
        { name: "embedding", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
        { name: "list", repetition_type: "REPEATED", num_children: 1 },
        { name: "element", repetition_type: "REQUIRED", ...element },
      ],
    });
  };
  return {
    write: (texts, data, d) => {
      parquet ??= open(data);
      const rows = texts.map((_, i) => Array.from(data.subarray(i * d, (i + 1) * d)));
      const columns = [
        { name: "text", data: [...texts] },
        { name: "embedding", data: rows },
      ];
      parquet.write({ columnData: columns, rowGroupSize: texts.length });
    },
    close: () => (parquet ?? open(new Float32Array(0))).finish(),
    stop: () => {},
  };
}
