// Exact bytes are those of the reference library: its own tests' values, and golden files that it wrote.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type Dtype, openSafetensors, type TensorToWrite, writeSafetensors } from "./safetensors.js";
import { typedArrays } from "./safetensors-header.js";

const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
afterAll(() => rmSync(folder, { recursive: true }));

const golden = (name: string) =>
  fileURLToPath(new URL(`../../../../test/golden/neobert/base/${name}`, import.meta.url));

function fileOf(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0), length?: bigint): string {
  const json = typeof header === "string" ? Buffer.from(header) : header;
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = join(folder, "file.safetensors");
  writeFileSync(path, Buffer.concat([size, json, data]));
  return path;
}

function written(tensors: TensorToWrite[], metadata?: Record<string, string>): Buffer {
  const path = join(folder, "written.safetensors");
  writeSafetensors(path, tensors, metadata);
  return readFileSync(path);
}

describe("writing", () => {
  const values = Float32Array.of(0, 1, 2, 3, 4, 5);

  test("F32 [1,2,3] has a header of 64 bytes and the bytes of the reference library", () => {
    const header = '{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}';
    const bytes = written([{ name: "attn.0", dtype: "F32", shape: [1, 2, 3], data: values }]);
    expect(bytes).toEqual(
      Buffer.concat([Buffer.from([64, 0, 0, 0, 0, 0, 0, 0]), Buffer.from(header), Buffer.from(values.buffer)]),
    );
  });

  test("a shorter name is padded with spaces so that the data stay aligned", () => {
    const bytes = written([{ name: "attn0", dtype: "F32", shape: [1, 1, 2, 3], data: values }]);
    expect(bytes.readBigUInt64LE()).toBe(72n);
    expect(bytes.subarray(8, 80).toString()).toBe(
      `${'{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}'}       `,
    );
  });

  test("no tensors give 8 bytes of header, metadata framework=pt 40", () => {
    expect(written([]).toString("latin1")).toBe("\b\0\0\0\0\0\0\0{}      ");
    expect(written([], { framework: "pt" }).toString("latin1")).toBe(
      '(\0\0\0\0\0\0\0{"__metadata__":{"framework":"pt"}}     ',
    );
  });

  test.each(["model.safetensors", "expected.safetensors"])(
    "%s, as the Python library wrote it, is rewritten byte for byte from tensors in reverse order",
    (name) => {
      const file = openSafetensors(golden(name));
      const tensors = file
        .names()
        .map((tensor) => ({ name: tensor, ...file.info(tensor), data: () => file.read(tensor).data }));
      expect(written(tensors.reverse(), file.metadata).equals(readFileSync(golden(name)))).toBe(true);
      file.close();
    },
  );

  test("data are asked for one tensor at a time, in the order of the file", () => {
    const asked: string[] = [];
    const tensor = (name: string, dtype: Dtype): TensorToWrite => ({
      name,
      dtype,
      shape: [1],
      data: () => {
        asked.push(name);
        return new typedArrays[dtype](1);
      },
    });
    written([tensor("b", "U8"), tensor("z", "F32"), tensor("a", "F32"), tensor("c", "I64")]);
    expect(asked).toEqual(["c", "a", "z", "b"]);
  });

  test("an error halfway leaves the former file and no temporary one", () => {
    const path = join(folder, "kept.safetensors");
    writeSafetensors(path, [{ name: "a", dtype: "F32", shape: [6], data: values }]);
    const before = readFileSync(path);
    const broken = () => {
      throw new Error("no data");
    };
    expect(() => writeSafetensors(path, [{ name: "a", dtype: "F32", shape: [6], data: broken }])).toThrow("no data");
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("data that do not fit dtype or shape, and names given twice, are refused", () => {
    const tensor = (shape: number[], data: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>) => ({
      name: "a",
      dtype: "F32" as const,
      shape,
      data,
    });
    expect(() => written([tensor([5], values)])).toThrow(
      "expected a, F32 of shape [5], as Float32Array of 20 bytes, got Float32Array of 24",
    );
    expect(() => written([tensor([6], new Int32Array(6))])).toThrow("got Int32Array of 24");
    expect(() => written([tensor([6], values), tensor([6], values)])).toThrow("got a again");
    expect(() => written([tensor([-1], values)])).toThrow("whole sizes");
  });

  test("what is written is what is read, for all dtypes, names and shapes", () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom(...(Object.keys(typedArrays) as Dtype[])),
        shape: fc.array(fc.nat(4), { maxLength: 4 }),
        seed: fc.nat(255),
      })
      .map(({ dtype, shape, seed }) => {
        const data = new typedArrays[dtype](shape.reduce((a, b) => a * b, 1));
        const bytes = new Uint8Array(data.buffer);
        for (let i = 0; i < bytes.length; i++) bytes[i] = i * 37 + seed;
        return { dtype, shape, data };
      });
    const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__metadata__");
    fc.assert(
      fc.property(fc.dictionary(name, tensor), fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
        const list = Object.entries(tensors).map(([key, value]) => ({ name: key, ...value }));
        written(list, metadata);
        const file = openSafetensors(join(folder, "written.safetensors"));
        expect(Object.entries(file.metadata).sort()).toEqual(Object.entries(metadata).sort());
        expect(file.names().sort()).toEqual(list.map((entry) => entry.name).sort());
        for (const { name: key, dtype, shape, data } of list) {
          const read = file.read(key);
          expect([read.dtype, read.shape]).toEqual([dtype, shape]);
          expect(new Uint8Array(read.data.buffer)).toEqual(new Uint8Array(data.buffer));
        }
        file.close();
      }),
      { numRuns: 60 },
    );
  });
});

describe("reading", () => {
  test("every tensor of the golden NeoBERT has the bytes its header points to, in a buffer of its own", () => {
    const path = golden("model.safetensors");
    const bytes = readFileSync(path);
    const length = Number(bytes.readBigUInt64LE());
    const { __metadata__: metadata, ...header } = JSON.parse(bytes.toString("utf8", 8, 8 + length));
    const file = openSafetensors(path);
    expect(file.metadata).toEqual(metadata);
    expect(file.names().sort()).toEqual(Object.keys(header).sort());
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries<{
      dtype: string;
      shape: number[];
      data_offsets: [number, number];
    }>(header)) {
      const { data, ...info } = file.read(name);
      expect(info).toEqual({ dtype, shape });
      expect(file.info(name).byteLength).toBe(offsets[1] - offsets[0]);
      expect(data).toBeInstanceOf(Float32Array);
      expect(data.byteOffset).toBe(0);
      expect(Buffer.from(data.buffer).equals(bytes.subarray(8 + length + offsets[0], 8 + length + offsets[1]))).toBe(
        true,
      );
    }
    file.close();
    expect(() => file.read("decoder.bias")).toThrow("got a closed one");
  });

  test("an unknown name is an error that names the file", () => {
    const file = openSafetensors(golden("model.safetensors"));
    expect(() => file.info("decoder.wieght")).toThrow(
      /model\.safetensors: expected one of its \d+ tensors, got the name decoder\.wieght/,
    );
    file.close();
  });

  test("a tensor of no elements, an empty file, and data in another order than the names are accepted", () => {
    const zero = openSafetensors(fileOf('{"t":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]}}'));
    expect(zero.read("t")).toEqual({ dtype: "F32", shape: [2, 0], data: new Float32Array(0) });
    zero.close();
    expect(openSafetensors(fileOf("{}      ")).names()).toEqual([]);
    const swapped = openSafetensors(
      fileOf(
        '{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}, "b":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]}}',
        Uint8Array.of(1, 7),
      ),
    );
    expect([swapped.read("a").data, swapped.read("b").data]).toEqual([Uint8Array.of(7), Uint8Array.of(1)]);
    swapped.close();
  });

  const f32 = (offsets: string, shape = "[2,2]", dtype = '"F32"') =>
    `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;
  const refused: [string, () => string, string | RegExp][] = [
    [
      "a header over 100,000,000 bytes",
      () => fileOf("{}", undefined, 100_000_001n),
      "a header of at most 100000000 bytes, got 100000001",
    ],
    [
      "a length that is no 64-bit file position",
      () => fileOf("{}", undefined, 2n ** 64n - 1n),
      "a header of at most 100000000 bytes",
    ],
    [
      "a header past the end of the file",
      () => fileOf("{}", undefined, 3n),
      "a header of at most 2 bytes, the rest of the file, got 3",
    ],
    ["a header that is not UTF-8", () => fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), "a header in UTF-8"],
    ["a header that does not begin with {", () => fileOf(' {"a":1}'), "a header that begins with {"],
    ["a header that is not JSON", () => fileOf("{ nothing }"), "a JSON header"],
    ["a header with bytes after its JSON", () => fileOf("{}{}"), "a JSON header"],
    [
      "overlapping data",
      () => fileOf(`{"a":${f32("[0,16]")},"b":${f32("[8,24]")}}`, new Uint8Array(24)),
      "tensor b to start at byte 16 of the data, got an overlap: 8",
    ],
    [
      "the same bytes for two tensors",
      () => fileOf(`{"a":${f32("[0,16]")},"b":${f32("[0,16]")}}`, new Uint8Array(16)),
      "got an overlap: 0",
    ],
    [
      "a hole in the data",
      () => fileOf(`{"a":${f32("[0,16]")},"b":${f32("[20,36]")}}`, new Uint8Array(36)),
      "tensor b to start at byte 16 of the data, got a hole: 20",
    ],
    ["data that do not begin at once", () => fileOf(`{"a":${f32("[4,20]")}}`, new Uint8Array(20)), "got a hole: 4"],
    [
      "trailing bytes",
      () => fileOf(`{"a":${f32("[0,16]")}}`, new Uint8Array(17)),
      "16 bytes of data after the header, got 17",
    ],
    [
      "missing bytes",
      () => fileOf(`{"a":${f32("[0,16]")}}`, new Uint8Array(15)),
      "16 bytes of data after the header, got 15",
    ],
    [
      "bytes after a header without tensors",
      () => fileOf("{}", new Uint8Array(1)),
      "0 bytes of data after the header, got 1",
    ],
    [
      "a shape that does not fit the offsets",
      () => fileOf(`{"a":${f32("[0,16]", "[2,3]")}}`, new Uint8Array(16)),
      "24 bytes for tensor a, F32 of shape [2,3], got data_offsets of 16 bytes",
    ],
    [
      "a shape of 2 x 18446744073709551614",
      () => fileOf(`{"a":${f32("[0,16]", "[2,18446744073709551614]")}}`, new Uint8Array(16)),
      "a size below 2^53 bytes",
    ],
    [
      "a product of sizes that overflows",
      () => fileOf(`{"a":${f32("[0,16]", "[4294967296,4294967296]")}}`, new Uint8Array(16)),
      "a size below 2^53 bytes",
    ],
    [
      "offsets in the wrong order",
      () => fileOf(`{"a":${f32("[16,0]")}}`, new Uint8Array(16)),
      "data_offsets [start, end], got [16,0]",
    ],
    ["three offsets", () => fileOf(`{"a":${f32("[0,16,16]")}}`, new Uint8Array(16)), "data_offsets [start, end]"],
    [
      "a negative size",
      () => fileOf(`{"a":${f32("[0,16]", "[-2,-2]")}}`, new Uint8Array(16)),
      "a shape of whole numbers, got [-2,-2]",
    ],
    [
      "a fractional size",
      () => fileOf(`{"a":${f32("[0,16]", "[1.5]")}}`, new Uint8Array(16)),
      "a shape of whole numbers",
    ],
    [
      "a missing shape",
      () => fileOf('{"a":{"dtype":"F32","data_offsets":[0,4]}}', new Uint8Array(4)),
      "a shape of whole numbers, got undefined",
    ],
    [
      "the same tensor twice",
      () => fileOf(`{"a":${f32("[0,16]")},"a":${f32("[0,16]")}}`, new Uint8Array(16)),
      'each key once in the header, got "a" twice',
    ],
    [
      "the same tensor twice, once with an escape",
      () => fileOf(`{"a":${f32("[0,16]")},"\\u0061" :${f32("[0,16]")}}`, new Uint8Array(16)),
      '"a" twice',
    ],
    [
      "a field of a tensor twice",
      () => fileOf('{"a":{"dtype":"I32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', new Uint8Array(4)),
      '"dtype" twice',
    ],
    ["a metadata key twice", () => fileOf('{"__metadata__":{"k\\"":"1","k\\"":"2"}}'), 'got "k\\"" twice'],
    [
      "an unknown dtype",
      () => fileOf(`{"a":${f32("[0,16]", "[2,2]", '"F31"')}}`, new Uint8Array(16)),
      'tensor a to have a dtype of BOOL, U8, I8, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64, got "F31"',
    ],
    [
      "a dtype that is a property of every object",
      () => fileOf(`{"a":${f32("[0,16]", "[2,2]", '"toString"')}}`, new Uint8Array(16)),
      "to have a dtype of",
    ],
    [
      "a metadata value that is not a string",
      () => fileOf('{"__metadata__":{"a":1}}'),
      "__metadata__.a to be a string, got 1",
    ],
    ["metadata that are no object", () => fileOf('{"__metadata__":["a"]}'), "__metadata__ to be an object of strings"],
    ["a tensor that is no object", () => fileOf('{"a":[]}'), "tensor a to be an object, got []"],
  ];
  test.each(refused)("%s is refused with its reason", (_, make, reason) => {
    const path = make();
    const open = () => openSafetensors(path);
    expect(open).toThrow(reason);
    expect(open).toThrow(/file\.safetensors: expected .*\n.*copy or download it again/s);
  });

  test("a file of fewer than 8 bytes is refused", () => {
    const path = join(folder, "short.safetensors");
    writeFileSync(path, "1234567");
    expect(() => openSafetensors(path)).toThrow("at least 8 bytes, the length of the header, got 7");
  });

  test("the same value under two keys, nested braces in strings and equal keys of different tensors are no duplicates", () => {
    const text = `{"__metadata__":{"a":"{\\"a\\":1,","b":"a"},"a":${f32("[0,16]")},"b":${f32("[16,32]")}}`;
    const file = openSafetensors(fileOf(text, new Uint8Array(32)));
    expect(file.metadata).toEqual({ a: '{"a":1,', b: "a" });
    file.close();
  });
});
