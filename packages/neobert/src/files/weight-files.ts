// The weights of a Hugging Face folder behind one interface, in one file or in several: `model.safetensors`, or the
// shards that `model.safetensors.index.json` maps tensor names to. Pickled weights are never opened.

import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { shortened } from "./checked.js";
import { readJsonObject } from "./input-file.js";
import { openSafetensors, type SafetensorsFile } from "./safetensors.js";

const SINGLE_FILE = "model.safetensors";
/** Files of weights of one model: the largest there are have some hundreds. */
const MAX_SHARDS = 10_000;
const INDEX_FILE = "model.safetensors.index.json";

/**
 * Opens the weights of a folder, of a `.safetensors` file, or of a `.safetensors.index.json`. Headers are read and
 * checked now, tensors on demand. `metadata` of a sharded checkpoint is that of its first shard.
 * Throws where nothing readable is found, saying how to convert a folder that has pickled weights only.
 */
export function openCheckpoint(folderOrFile: string): SafetensorsFile {
  if (!existsSync(folderOrFile)) {
    throw new Error(`openCheckpoint: expected a folder or a file, got ${folderOrFile}, which does not exist`);
  }
  if (statSync(folderOrFile).isFile()) {
    return folderOrFile.endsWith(".json") ? openSharded(folderOrFile) : openSafetensors(folderOrFile);
  }
  const single = join(folderOrFile, SINGLE_FILE);
  if (existsSync(single)) return openSafetensors(single);
  const index = join(folderOrFile, INDEX_FILE);
  if (existsSync(index)) return openSharded(index);
  throw noWeights(folderOrFile);
}

function noWeights(folder: string): Error {
  const files = readdirSync(folder).sort();
  const pickled = files.find((file) => /^pytorch_model.*\.bin$/.test(file));
  const got = pickled ?? (files.length === 0 ? "an empty folder" : files.slice(0, 10).join(", "));
  const wayOut = pickled
    ? "Pickled weights can run code, so they are not opened here. Convert them once, in the folder, with Python: " +
      'python -c "import glob, torch, safetensors.torch as s; s.save_file({k: v.clone().contiguous() for f in ' +
      "glob.glob('pytorch_model*.bin') for k, v in torch.load(f, weights_only=True).items()}, 'model.safetensors', {'format': 'pt'})\""
    : "Name the folder that holds config.json and the weights.";
  return new Error(`${folder}: expected ${SINGLE_FILE} or ${INDEX_FILE}, got ${got}\n${wayOut}`);
}

function openSharded(indexPath: string): SafetensorsFile {
  const shardOf = readWeightMap(indexPath);
  const folder = dirname(indexPath);
  const shardNames = [...new Set(shardOf.values())].sort();
  const absent = shardNames.filter((name) => !existsSync(join(folder, name)));
  if (absent.length > 0) {
    throw new Error(
      `${indexPath}: expected its shards beside it, got none named ${shortened(absent.join(", "))}\nDownload them again.`,
    );
  }

  const shards = new Map<string, SafetensorsFile>();
  const close = () => {
    for (const shard of shards.values()) shard.close();
  };
  try {
    for (const name of shardNames) shards.set(name, openSafetensors(join(folder, name)));
    const held = new Map([...shards].map(([name, shard]) => [name, new Set(shard.names())]));
    const lost = [...shardOf].filter(([tensor, shard]) => !held.get(shard)!.has(tensor));
    if (lost.length > 0) {
      const list = lost.map(([tensor, shard]) => `${tensor} (${shard})`).join(", ");
      throw new Error(
        `${indexPath}: expected each tensor in its shard, got none of ${shortened(list)}\nDownload index and shards again.`,
      );
    }
  } catch (error) {
    close();
    throw error;
  }
  const shardWith = (tensor: string) => {
    const shard = shards.get(shardOf.get(tensor) ?? "");
    if (!shard)
      throw new Error(`${indexPath}: expected one of its ${shardOf.size} tensors, got the name ${shortened(tensor)}`);
    return shard;
  };
  return {
    metadata: shards.get(shardNames[0] ?? "")?.metadata ?? {},
    names: () => [...shardOf.keys()],
    info: (tensor) => shardWith(tensor).info(tensor),
    read: (tensor) => shardWith(tensor).read(tensor),
    close,
  };
}

function readWeightMap(indexPath: string): Map<string, string> {
  const index = readJsonObject(indexPath);
  const entries = Object.entries(index.weight_map ?? {});
  const wrong = entries.find(([, file]) => typeof file !== "string" || !/^[^/\\]+\.safetensors$/.test(file));
  if (wrong || entries.length === 0) {
    const got = wrong ? shortened(`${wrong[0]}: ${JSON.stringify(wrong[1])}`) : "no weight_map";
    throw new Error(`${indexPath}: expected a weight_map of tensor names to .safetensors files beside it, got ${got}`);
  }
  const shards = new Set(entries.map(([, file]) => file)).size;
  if (shards > MAX_SHARDS) {
    throw new Error(`${indexPath}: expected at most ${MAX_SHARDS} shards, got ${shards}\nDownload the index again.`);
  }
  return new Map(entries as [string, string][]);
}
