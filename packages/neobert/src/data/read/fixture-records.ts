// For tests: the records of a file in one list.

import { type DataRecord, type RecordOptions, readRecords } from "./records.js";

/** All records of a file. */
export async function allRecords(path: string, options: RecordOptions = {}): Promise<DataRecord[]> {
  const records: DataRecord[] = [];
  for await (const { record } of readRecords(path, options)) records.push(record);
  return records;
}
