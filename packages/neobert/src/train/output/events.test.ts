// Oracles: the CRC-32C values of RFC 3720, appendix B.4, and a decoder of TFRecord and protobuf that shares nothing with
// the writer (its checksum works bit by bit).

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { crc32c, EventFile } from "./events.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-events-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("crc32c", () => {
  test('has the check value of the catalogue for "123456789"', () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
  });

  test("has RFC 3720's values for 32 bytes of zeros, ones, rising and falling numbers", () => {
    const rising = Uint8Array.from({ length: 32 }, (_, i) => i);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(rising)).toBe(0x46dd794e);
    expect(crc32c(rising.toReversed())).toBe(0x113fdb5c);
  });
});

function slowMaskedCrc(bytes: Buffer): bigint {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? 0x82f63b78n : 0n);
  }
  crc ^= 0xffffffffn;
  return (((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn;
}

function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(BigInt(file.readUInt32LE(at + 8))).toBe(slowMaskedCrc(file.subarray(at, at + 8)));
    expect(BigInt(file.readUInt32LE(at + 12 + length))).toBe(slowMaskedCrc(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

/** Field number to the values found under it: numbers for varint, double and float, bytes for the rest. */
function message(bytes: Buffer): Record<number, (number | Buffer)[]> {
  const fields: Record<number, (number | Buffer)[]> = {};
  let at = 0;
  const readVarint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const key = readVarint();
    const values = (fields[key >> 3] ??= []);
    if ((key & 7) === 0) values.push(readVarint());
    else if ((key & 7) === 1) values.push(bytes.readDoubleLE((at += 8) - 8));
    else if ((key & 7) === 5) values.push(bytes.readFloatLE((at += 4) - 4));
    else {
      const length = readVarint();
      values.push(bytes.subarray(at, (at += length)));
    }
  }
  return fields;
}

interface Decoded {
  wallTime: number;
  step: number;
  version: string | undefined;
  sessionStatus: number | undefined;
  values: [string, number][];
}

function decode(name: string): Decoded[] {
  return records(readFileSync(join(folder, name))).map((record) => {
    const event = message(record);
    const values = event[5] ? (message(event[5][0] as Buffer)[1] ?? []) : [];
    return {
      wallTime: event[1]?.[0] as number,
      step: event[2]?.[0] as number,
      version: event[3]?.[0]?.toString(),
      sessionStatus: event[7] ? (message(event[7][0] as Buffer)[1]![0] as number) : undefined,
      values: values.map((value) => {
        const { 1: tag, 2: simpleValue } = message(value as Buffer);
        return [String(tag![0]), simpleValue![0] as number];
      }),
    };
  });
}

describe("an event file", () => {
  test("starts with its version and gives back every tag, step and value as float32", () => {
    const file = new EventFile(folder);
    file.scalars(1, { "train/loss": 8.25, "train/lr": 6e-4 });
    file.scalars(1_000_000, { "validation/loss": -1e-30, "größe/µ": 3 });
    file.scalars(2 ** 40, { nan: Number.NaN });
    file.close();
    const events = decode(readdirSync(folder)[0]!);
    expect(events[0]).toMatchObject({ version: "brain.Event:2", step: 0, values: [] });
    expect(events.slice(1).map(({ step, values }) => [step, values])).toEqual([
      [
        1,
        [
          ["train/loss", 8.25],
          ["train/lr", Math.fround(6e-4)],
        ],
      ],
      [
        1_000_000,
        [
          ["validation/loss", Math.fround(-1e-30)],
          ["größe/µ", 3],
        ],
      ],
      [2 ** 40, [["nan", Number.NaN]]],
    ]);
    for (const { wallTime } of events) expect(Math.abs(wallTime - Date.now() / 1000)).toBeLessThan(60);
  });

  test("of a run resumed at step 20 comes last by name and starts a session at step 21", () => {
    const names: string[] = [];
    for (const resumeStep of [undefined, 20, 20]) {
      new EventFile(folder, { resumeStep }).close();
      names.push(readdirSync(folder).find((name) => !names.includes(name))!);
    }
    expect(names.toSorted()).toEqual(names);
    expect(decode(names[2]!)[1]).toMatchObject({ step: 21, sessionStatus: 1 });
    expect(decode(names[0]!)).toHaveLength(1);
  });
});
