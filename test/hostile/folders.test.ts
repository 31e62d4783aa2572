// Model folders that mean harm: each is refused with an error that says where, soon and within bounded memory, and no
// message fills a screen.

import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { writeSmallModel } from "../../packages/neobert/src/encoder/fixture-encoder.js";
import { Encoder } from "../../packages/neobert/src/index.js";

const root = mkdtempSync(join(tmpdir(), "hostile-"));
const model = await writeSmallModel();
afterAll(() => rmSync(root, { recursive: true }));

/** A copy of the small model with one file put in place by `make`. */
function folderWith(name: string, make: (path: string) => void): string {
  const folder = mkdtempSync(join(root, "model-"));
  cpSync(model, folder, { recursive: true });
  rmSync(join(folder, name), { force: true });
  make(join(folder, name));
  return folder;
}

/** The message with which the folder is refused; an error if it is not, or if that takes long. */
async function refusal(folder: string): Promise<string> {
  const start = performance.now();
  const error = await Encoder.load(folder).then(
    async (encoder) => {
      await encoder.dispose();
      throw new Error(`${folder} was loaded`);
    },
    (error: Error) => error,
  );
  expect(performance.now() - start).toBeLessThan(60_000); // without a bound these take minutes or for ever
  expect(error.message.length).toBeLessThan(6000);
  expect(error).not.toBeInstanceOf(TypeError);
  return error.message;
}

const config = (change: object) =>
  JSON.stringify({ ...JSON.parse(readFileSync(join(model, "config.json"), "utf8")), ...change });

/** A safetensors file of this header and so many bytes of data, which take no place on the disk. */
function safetensors(header: string, dataBytes = 0) {
  return (path: string) => {
    const json = Buffer.from(header);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(path, Buffer.concat([length, json]));
    truncateSync(path, 8 + json.length + dataBytes);
  };
}

test.each(["config.json", "tokenizer.json", "model.safetensors"])(
  "%s as a pipe, a device or a folder",
  async (name) => {
    const pipe = folderWith(name, (path) => execFileSync("mkfifo", [path]));
    expect(await refusal(pipe)).toContain(`${join(pipe, name)}: expected a file, got a pipe`);
    const device = folderWith(name, (path) => symlinkSync("/dev/zero", path));
    expect(await refusal(device)).toContain(`${join(device, name)}: expected a file, got a device`);
    const inside = folderWith(name, (path) => cpSync(model, path, { recursive: true }));
    expect(await refusal(inside)).toContain(`${join(inside, name)}: expected a file, got a folder`);
  },
);

test("layers, labels and widths that no file could hold", async () => {
  for (const change of [
    { num_hidden_layers: 300_000 },
    { num_hidden_layers: 1e9 },
    { num_labels: 1e9, architectures: ["NeoBERTForSequenceClassification"] },
    { hidden_size: 2 ** 40, num_attention_heads: 2 ** 30 },
    { vocab_size: 2 ** 50 },
    { max_length: 1e15, num_hidden_layers: 4096 },
  ]) {
    const folder = folderWith("config.json", (path) => writeFileSync(path, config(change)));
    expect(await refusal(folder)).toMatch(/expected .*got /s);
  }
});

test("config.json of names that objects have, and of other JSON", async () => {
  for (const text of [
    config({ model_type: "constructor" }),
    config({ model_type: "__proto__" }),
    config({ model_type: { toString: 1 } }),
    config({ model_type: undefined, architectures: ["__proto__"] }),
    "[]",
    "null",
    "1",
    '"config"',
    "{",
    "",
    `{"model_type":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`,
  ]) {
    const folder = folderWith("config.json", (path) => writeFileSync(path, text));
    expect(await refusal(folder)).toMatch(/expected .*got /s);
  }
  expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain("model_type");
});

test("weights of huge names, of very many tensors and of sizes beyond the disk", async () => {
  const empty = (name: string) => `${JSON.stringify(name)}:{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
  const many = `{${Array.from({ length: 250_000 }, (_, i) => empty(`t${i}`)).join(",")}}`;
  for (const header of [
    `{${empty("x".repeat(20_000_000))}}`,
    many,
    '{"t":{"dtype":"F32","shape":[2000000000000],"data_offsets":[0,8000000000000]}}',
    '{"t":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,0]}}',
    `{"t":${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}}`,
  ]) {
    expect(await refusal(folderWith("model.safetensors", safetensors(header, 64)))).toMatch(/expected .*got /s);
  }
  const cut = folderWith("model.safetensors", (path) => truncateSync(createEmpty(path), 10_000_000_000));
  expect(await refusal(cut)).toMatch(/model\.safetensors: expected .*got /s);
});

test("an index that points outside its folder, or to very many shards", async () => {
  const shards = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`t${i}`, `s${i}.safetensors`]));
  for (const weightMap of [{ t: "../../secret.safetensors" }, { t: "/etc/passwd" }, shards]) {
    const folder = folderWith("model.safetensors.index.json", (path) =>
      writeFileSync(path, JSON.stringify({ weight_map: weightMap })),
    );
    rmSync(join(folder, "model.safetensors"));
    expect(await refusal(folder)).toMatch(/index\.json: expected .*got /s);
  }
  expect(existsSync(join(root, "secret.safetensors"))).toBe(false);
});

function createEmpty(path: string): string {
  writeFileSync(path, "");
  return path;
}
