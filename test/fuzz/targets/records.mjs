// Files of records in every format, plain and compressed, and the two readers that give their fields a meaning: pairs of
// texts, and texts with labels.

import { gzipSync } from "node:zlib";
import { compress } from "@mongodb-js/zstd";
import { ByteWriter, parquetWriteBuffer } from "hyparquet-writer";
import { readRecords } from "#neobert/data/read/records";
import { readDocuments } from "#neobert/data/read/read";
import { readPairs } from "#neobert/train/contrastive/read-pairs";
import { readLabelled } from "#neobert/train/classify/read-labelled";
import { readFileSync } from "node:fs";
import { goldenPath } from "../folders.mjs";
import { jsonLines } from "../mutants.mjs";
export const targets = {};
