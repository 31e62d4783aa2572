// Files of records in every format, plain and compressed, and the two readers that give their fields a meaning: pairs of
// texts, and texts with labels.

import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { readDocuments } from "#neobert/data/read/read";
import { readRecords } from "#neobert/data/read/records";
import { readLabelled } from "#neobert/train/classify/read-labelled";
import { readPairs } from "#neobert/train/contrastive/read-pairs";
import { goldenPath } from "../folders.mjs";
import { jsonLines } from "../mutants.mjs";

const rows = [
  { text: "a united people", label: "yes", score: 1, tags: ["a", "b"], id: 12345678901234567n },
  { text: 'shall "govern", its own', label: "no", score: 0.5, tags: [], id: 2n },
  { text: "free\tstates in peace", label: "yes", score: -1, tags: ["c"], id: 3n },
];
const lines = rows.map((row) => JSON.stringify(row, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
const cells = (separator, quote) =>
  `text${separator}label${separator}score\n${rows.map(({ text, label, score }) => [quote(text), label, score].join(separator)).join("\n")}\n`;
const doubled = (text) => `"${text.replaceAll('"', '""')}"`;
const parquet = Buffer.from(
  parquetWriteBuffer({
    columnData: [
      { name: "text", data: rows.map(({ text }) => text), type: "STRING" },
      { name: "score", data: rows.map(({ score }) => score), type: "DOUBLE" },
      { name: "id", data: rows.map(({ id }) => id), type: "INT64" },
    ],
  }),
);
/** Two records, as the zstd command line packs them. */
const zstd = Buffer.from("KLUv/QRY/QAAyHsidGV4dCI6Im9uZSJ9Cnp3ZWkgw7wifQoBAFLMOo9x4B0=", "base64");

async function drain(rows) {
  for await (const _ of rows);
}

async function readBoth(folder, path) {
  const file = `${folder}/${path}`;
  await drain(readRecords(file));
  await drain(readDocuments(file));
}

const file = (path, content, structure) => () => {
  return {
    files: { [path]: content },
    mutate: [path],
    read: readBoth,
    ...(structure && { structures: { [path]: structure } }),
  };
};

export const targets = {
  "json-lines": file("rows.jsonl", `${lines.join("\n")}\n`, jsonLines),
  json: file("rows.json", `[${lines.join(",")}]`),
  csv: file("rows.csv", cells(",", doubled)),
  tsv: file(
    "rows.tsv",
    cells("\t", (text) => text.replaceAll("\t", " ")),
  ),
  parquet: file("rows.parquet", parquet),
  "parquet-nested": () => {
    const read = (folder) => drain(readRecords(`${folder}/rows.parquet`));
    return {
      files: { "rows.parquet": readFileSync(goldenPath("read/nested.parquet")) },
      mutate: ["rows.parquet"],
      read,
    };
  },
  gz: file("rows.jsonl.gz", gzipSync(`${lines.join("\n")}\n`)),
  zst: file("rows.jsonl.zst", zstd),
  pairs: () => {
    const read = (folder) => drain(readPairs({ path: `${folder}/pairs.jsonl`, filter: { column: "score", above: 0 } }));
    const pairs = [
      { query: "who", positive: "a people", negative: "a house", negative_2: "peace", score: 1 },
      { query: "what", positive: ["a law", "b"], negative: "a", negative_2: "war", score: 0.5 },
      { set: ["who", "the people"], score: 3 },
    ];
    const text = pairs
      .slice(0, 2)
      .map((pair) => JSON.stringify(pair))
      .join("\n");
    return { files: { "pairs.jsonl": text }, mutate: ["pairs.jsonl"], structures: { "pairs.jsonl": jsonLines }, read };
  },
  labelled: () => {
    const usual = { validationFraction: 0, type: "auto", separator: "|", header: true, context: "context" };
    const columns = { text: "text", label: "label", question: "question", answers: "answers" };
    const read = (folder, path) => readLabelled({ ...usual, ...columns, train: `${folder}/${path}` }, 0);
    const texts = rows.map(({ text, label }) => JSON.stringify({ text, label }));
    const words = ["O", "B-PER", "I-PER"].map((label) => JSON.stringify({ text: ["a", "b"], label: [label, "O"] }));
    const spans = ["united", "people"].map((answer) => {
      const [context, question] = [rows[0].text, "who"];
      return JSON.stringify({
        context,
        question,
        answers: { text: [answer], answer_start: [context.indexOf(answer)] },
      });
    });
    const files = { "texts.jsonl": texts, "words.jsonl": words, "spans.jsonl": spans };
    return {
      files: Object.fromEntries(Object.entries(files).map(([path, lines]) => [path, lines.join("\n")])),
      mutate: Object.keys(files),
      structures: Object.fromEntries(Object.keys(files).map((path) => [path, jsonLines])),
      read,
    };
  },
};
