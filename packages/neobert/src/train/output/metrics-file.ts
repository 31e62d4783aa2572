// `metrics.jsonl` of a run: one JSON object a line, in the order of the steps, appended as the run goes. On resume from
// step k everything after step k is cut off, torn last line included, so the file is as of a run that never stopped.

import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";

/** One line; a number that JSON cannot hold (NaN, infinite) is written as null. */
export interface MetricsRecord {
  step: number;
  [name: string]: unknown;
}

const newline = 0x0a;

/** Bytes of the leading lines that are whole and belong to steps up to `lastStep`. */
function bytesUpTo(content: Buffer, lastStep: number): number {
  let kept = 0;
  for (let end = content.indexOf(newline); end >= 0; end = content.indexOf(newline, kept)) {
    try {
      const record = JSON.parse(content.toString("utf8", kept, end)) as MetricsRecord;
      if (!(record.step <= lastStep)) break;
    } catch {
      break;
    }
    kept = end + 1;
  }
  return kept;
}

export class MetricsFile {
  readonly #fd: number;

  /**
   * Opens the file at `path` for appending. With `resumeStep` k, lines of steps after k are cut off; without it the
   * file starts empty.
   */
  constructor(path: string, { resumeStep }: { resumeStep?: number | undefined } = {}) {
    const kept = resumeStep !== undefined && existsSync(path) ? bytesUpTo(readFileSync(path), resumeStep) : 0;
    if (kept > 0) truncateSync(path, kept);
    this.#fd = openSync(path, kept > 0 ? "a" : "w");
  }

  /** Appends one line in one write, so that a kill tears at most the last line. */
  write(record: MetricsRecord): void {
    writeSync(this.#fd, `${JSON.stringify(record)}\n`);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
