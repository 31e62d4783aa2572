// A worker that writes texts and vectors as a Parquet file, with the columns that `neobert embed --out x.parquet` writes.

import { parquetWriteBuffer } from "hyparquet-writer";

interface Message {
  texts: string[];
  /** Further columns of the texts' file. */
  columns: { name: string; data: string[] }[];
  data: Float32Array;
  dimension: number;
}

const ROW_GROUP_SIZE = 8192;

self.onmessage = ({ data: { texts, columns, data, dimension } }: MessageEvent<Message>) => {
  const vectors = texts.map((_, i) => Array.from(data.subarray(i * dimension, (i + 1) * dimension)));
  const column = (name: string) =>
    ({ name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "REQUIRED" }) as const;
  const result = parquetWriteBuffer({
    createdBy: "neobert",
    rowGroupSize: ROW_GROUP_SIZE,
    columnData: [{ name: "text", data: texts }, ...columns, { name: "embedding", data: vectors }],
    schema: [
      { name: "root", num_children: columns.length + 2 },
      column("text"),
      ...columns.map(({ name }) => column(name)),
      { name: "embedding", converted_type: "LIST", repetition_type: "REQUIRED", num_children: 1 },
      { name: "list", repetition_type: "REPEATED", num_children: 1 },
      { name: "element", type: "FLOAT", repetition_type: "REQUIRED" },
    ],
  });
  postMessage({ result }, { transfer: [result] });
};
