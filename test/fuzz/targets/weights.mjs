// Weights: a safetensors file of three types, and the index of two shards.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSafetensors } from "#neobert/files/safetensors";
import { openCheckpoint } from "#neobert/files/weight-files";
import { safetensorsHeader } from "../mutants.mjs";

function safetensors(...tensors) {
  const folder = mkdtempSync(join(tmpdir(), "fuzz-weights-"));
  const path = join(folder, "a.safetensors");
  const named = tensors.map(([name, dtype, shape, data]) => ({ name, dtype, shape, data: () => data }));
  writeSafetensors(path, named, { format: "pt" });
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  return bytes;
}

function readAll(folder) {
  const weights = openCheckpoint(folder);
  try {
    for (const name of weights.names()) weights.read(name);
  } finally {
    weights.close();
  }
}

export const targets = {
  safetensors: () => ({
    files: {
      "model.safetensors": safetensors(
        ["encoder.weight", "F32", [2, 3], new Float32Array(6)],
        ["encoder.bias", "F32", [3], new Float32Array(3)],
        ["empty", "F32", [0, 4], new Float32Array(0)],
        ["half", "BF16", [4], new Uint16Array(4)],
        ["steps", "I64", [], new BigInt64Array(1)],
      ),
    },
    mutate: ["model.safetensors"],
    structures: { "model.safetensors": safetensorsHeader },
    read: readAll,
  }),
  "weight-index": () => ({
    files: {
      "model.safetensors.index.json": JSON.stringify({
        metadata: { total_size: 36 },
        weight_map: { a: "model-1.safetensors", b: "model-1.safetensors", c: "model-2.safetensors" },
      }),
      "model-1.safetensors": safetensors(["a", "F32", [3], new Float32Array(3)], ["b", "F32", [], new Float32Array(1)]),
      "model-2.safetensors": safetensors(["c", "F32", [2, 2], new Float32Array(4)]),
    },
    mutate: ["model.safetensors.index.json", "model.safetensors.index.json", "model-2.safetensors"],
    structures: { "model-2.safetensors": safetensorsHeader },
    read: readAll,
  }),
};
