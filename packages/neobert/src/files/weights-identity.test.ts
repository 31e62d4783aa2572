// Files of a few bytes stand for weights.
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { weightsIdentity } from "./weights-identity.js";

const before = process.env.NEOBERT_CACHE;
let root: string;
let model: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "identity-"));
  process.env.NEOBERT_CACHE = join(root, "cache");
  model = join(root, "model");
  mkdirSync(join(model, "2_Dense"), { recursive: true });
  writeFileSync(join(model, "model.safetensors"), "weights A");
  writeFileSync(join(model, "config.json"), "{}");
  writeFileSync(join(model, "2_Dense/model.safetensors"), "dense A");
});
afterEach(() => {
  if (before === undefined) delete process.env.NEOBERT_CACHE;
  else process.env.NEOBERT_CACHE = before;
  rmSync(root, { recursive: true });
});

test("a copy of a model is the same; other weights of the same size and time, in a subfolder too, are others", async () => {
  const first = await weightsIdentity(model);
  cpSync(model, join(root, "copy"), { recursive: true });
  expect(await weightsIdentity(join(root, "copy"))).toBe(first);
  const seen = new Set([first]);
  for (const name of ["model.safetensors", "config.json", "2_Dense/model.safetensors"]) {
    const path = join(model, name);
    const { atime, mtime } = statSync(path);
    writeFileSync(path, readFileSync(path, "utf8").replace("A", "B").replace("{}", "[]"));
    utimesSync(path, atime, mtime);
    seen.add(await weightsIdentity(model));
  }
  expect(seen.size).toBe(4);
  writeFileSync(join(model, "README.md"), "of no account");
  expect(seen).toContain(await weightsIdentity(model));
});

test("a second call takes the identity from the user's cache without reading the weights", async () => {
  await weightsIdentity(model);
  const [name] = readdirSync(join(root, "cache/weights"));
  const kept = join(root, "cache/weights", name!);
  writeFileSync(kept, JSON.stringify({ ...JSON.parse(readFileSync(kept, "utf8")), identity: "from the cache" }));
  expect(await weightsIdentity(model)).toBe("from the cache");
  writeFileSync(join(model, "config.json"), '{"a":1}');
  expect(await weightsIdentity(model)).not.toBe("from the cache");
});
