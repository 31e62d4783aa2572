import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { openSafetensors, writeSafetensors } from "./safetensors.js";
import { openCheckpoint } from "./weight-files.js";

const root = mkdtempSync(join(tmpdir(), "checkpoint-"));
afterAll(() => rmSync(root, { recursive: true }));
const golden = fileURLToPath(new URL("../../../../test/golden/neobert/base/model.safetensors", import.meta.url));

function newFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

/** The golden model cut into two shards with the index that transformers writes. */
function sharded(name: string): { folder: string; map: Record<string, string>; index: string } {
  const folder = newFolder(name);
  const whole = openSafetensors(golden);
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const map = Object.fromEntries(whole.names().map((tensor, at) => [tensor, shards[at % 2]!]));
  for (const shard of shards) {
    const names = whole.names().filter((tensor) => map[tensor] === shard);
    writeSafetensors(
      join(folder, shard),
      names.map((tensor) => ({ name: tensor, ...whole.read(tensor) })),
      { format: "pt" },
    );
  }
  whole.close();
  const index = join(folder, "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ metadata: { total_size: 1 }, weight_map: map }));
  return { folder, map, index };
}

test("a sharded checkpoint has the tensors of the whole one, opened by folder or by index", () => {
  const { folder, index } = sharded("shards");
  const whole = openCheckpoint(golden);
  for (const path of [folder, index]) {
    const parts = openCheckpoint(path);
    expect(parts.metadata).toEqual({ format: "pt" });
    expect(parts.names().sort()).toEqual(whole.names().sort());
    for (const name of whole.names()) {
      expect(parts.info(name)).toEqual(whole.info(name));
      expect(parts.read(name)).toEqual(whole.read(name));
    }
    expect(() => parts.read("other")).toThrow("got the name other");
    parts.close();
    expect(() => parts.read("decoder.bias")).toThrow("closed");
  }
  whole.close();
});

test("model.safetensors is taken before an index", () => {
  const { folder } = sharded("both");
  copyFileSync(golden, join(folder, "model.safetensors"));
  writeFileSync(join(folder, "model.safetensors.index.json"), "not read");
  openCheckpoint(folder).close();
});

test("all absent shards and all absent tensors are named at once", () => {
  const { folder, map, index } = sharded("absent");
  writeFileSync(
    index,
    JSON.stringify({
      weight_map: { ...map, ghost: "model-00001-of-00002.safetensors", spirit: "model-00002-of-00002.safetensors" },
    }),
  );
  expect(() => openCheckpoint(folder)).toThrow(/ghost \(model-00001.*spirit \(model-00002/);
  writeFileSync(index, JSON.stringify({ weight_map: { a: "x.safetensors", b: "y.safetensors" } }));
  expect(() => openCheckpoint(folder)).toThrow("got none named x.safetensors, y.safetensors");
});

test.each([
  ["leads out of the folder", '{"weight_map":{"a":"../model.safetensors"}}', 'a: "../model.safetensors"'],
  ["names a pickled file", '{"weight_map":{"a":"pytorch_model.bin"}}', "pytorch_model.bin"],
  ["has no weight_map", '{"metadata":{}}', "no weight_map"],
  ["is not JSON", "{", "expected JSON"],
])("an index that %s is refused", (_, text, reason) => {
  const folder = mkdtempSync(join(root, "index-"));
  writeFileSync(join(folder, "model.safetensors.index.json"), text);
  expect(() => openCheckpoint(folder)).toThrow(reason);
});

test("a folder with pickled weights only is refused with the command that converts them", () => {
  const folder = newFolder("pickled");
  writeFileSync(join(folder, "pytorch_model.bin"), "");
  expect(() => openCheckpoint(folder)).toThrow(/got pytorch_model\.bin\n.*python -c .*save_file/);
});

test("an empty folder, a folder without weights and a name that does not exist are told apart", () => {
  const folder = newFolder("empty");
  expect(() => openCheckpoint(folder)).toThrow("got an empty folder");
  writeFileSync(join(folder, "config.json"), "{}");
  expect(() => openCheckpoint(folder)).toThrow("got config.json");
  expect(() => openCheckpoint(join(folder, "nowhere"))).toThrow("does not exist");
});
