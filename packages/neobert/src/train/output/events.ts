// TensorBoard event files: TFRecord framing around the small protobuf message `Event` with scalars. Special: a resumed
// run opens a further file whose first event says "session started at step k + 1", by which TensorBoard drops what the
// broken run had logged from there on. Sources: tensorflow/core/util/event.proto, tensorflow/core/lib/io/record_writer.h,
// CRC-32C of RFC 3720.

import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli) of bytes, as an unsigned number. Source: RFC 3720, appendix B.4. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** One TFRecord: length (8 bytes), its CRC, the data, their CRC; all little-endian. */
function tfRecord(data: Uint8Array): Buffer {
  const record = Buffer.alloc(8 + 4 + data.length + 4);
  record.writeBigUInt64LE(BigInt(data.length), 0);
  record.writeUInt32LE(maskedCrc(record.subarray(0, 8)), 8);
  record.set(data, 12);
  record.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return record;
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 };

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 0x80)) bytes.push((value % 0x80) | 0x80);
  bytes.push(value);
  return Buffer.from(bytes);
}

const field = (number: number, type: number, payload: Uint8Array) =>
  Buffer.concat([varint((number << 3) | type), payload]);

const integerField = (number: number, value: number) => field(number, wire.varint, varint(value));

function doubleField(number: number, value: number): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeDoubleLE(value);
  return field(number, wire.fixed64, payload);
}

function floatField(number: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeFloatLE(value);
  return field(number, wire.fixed32, payload);
}

function bytesField(number: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value);
  return field(number, wire.bytes, Buffer.concat([varint(bytes.length), bytes]));
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
// Summary: value = 1, with tag = 1 and simple_value = 2. SessionLog: status = 1, where START is 1.
const fileVersion = () => bytesField(3, "brain.Event:2");
const sessionStart = () => bytesField(7, integerField(1, 1));
const scalar = ([tag, value]: [string, number]) =>
  bytesField(1, Buffer.concat([bytesField(1, tag), floatField(2, value)]));
const summary = (values: Record<string, number>) => bytesField(5, Buffer.concat(Object.entries(values).map(scalar)));

/** TensorBoard reads a folder's files in the order of their names, so a new name must come after all that are there. */
function nextFileName(folder: string): string {
  const seconds = readdirSync(folder).map((name) => Number(/^events\.out\.tfevents\.(\d{10})\./.exec(name)?.[1] ?? 0));
  const start = Math.max(Math.floor(Date.now() / 1000), ...seconds.map((second) => second + 1));
  return `events.out.tfevents.${start}.${hostname()}.${process.pid}`;
}

export class EventFile {
  readonly #fd: number;

  /**
   * Starts a new event file in `folder`, which is made if it is not there. With `resumeStep` k TensorBoard shows the
   * steps up to k of the files already there, and from k + 1 on what is written here.
   */
  constructor(folder: string, { resumeStep }: { resumeStep?: number | undefined } = {}) {
    mkdirSync(folder, { recursive: true });
    this.#fd = openSync(join(folder, nextFileName(folder)), "wx");
    this.#append(0, fileVersion());
    if (resumeStep !== undefined) this.#append(resumeStep + 1, sessionStart());
  }

  /** Writes one event that holds all the values, as float32, under their tags (`train/loss`) at a step. */
  scalars(step: number, values: Record<string, number>): void {
    this.#append(step, summary(values));
  }

  close(): void {
    closeSync(this.#fd);
  }

  #append(step: number, content: Buffer): void {
    const wallTimeSeconds = Date.now() / 1000;
    writeSync(this.#fd, tfRecord(Buffer.concat([doubleField(1, wallTimeSeconds), integerField(2, step), content])));
  }
}
