// A model folder's config.json and the architecture that it describes. What is wrong with it is told with the file's path.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { readJsonObject } from "../files/input-file.js";
import { architectureOf, type ModelArchitecture } from "./architectures.js";

/** The architecture of the config.json in `folder`, with `fields` in place of its own. Throws naming the file. */
export function readArchitecture(folder: string, fields: Record<string, unknown> = {}): ModelArchitecture {
  const file = join(folder, "config.json");
  if (!existsSync(file)) {
    throw new Error(
      `${folder}: expected a model folder with config.json, got none\nName the folder that holds config.json and the weights.`,
    );
  }
  const raw = readJsonObject(file);
  try {
    return architectureOf({ ...raw, ...fields });
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message.replace(/^config\.json: /, "")}`, { cause: error });
  }
}
