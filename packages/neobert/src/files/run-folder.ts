// The folder of a training run as others see it: `checkpoints/step-00001000/` with the optimizer, `latest` naming the
// newest whole one, and `model/`, the finished model without the optimizer.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const checkpointsOf = (run: string) => join(run, "checkpoints");
export const finishedModelOf = (run: string) => join(run, "model");
export const latestFile = (run: string) => join(run, "latest");

/** The run's whole checkpoints, oldest first. */
export function listCheckpoints(run: string): string[] {
  const folder = checkpointsOf(run);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^step-\d{8,}$/.test(name));
  return names.sort((a, b) => Number(a.slice(5)) - Number(b.slice(5))).map((name) => join(folder, name));
}

/** The folder of the run's newest whole checkpoint, or undefined before the first. */
export function latestCheckpoint(run: string): string | undefined {
  if (!existsSync(latestFile(run))) return undefined;
  return join(checkpointsOf(run), readFileSync(latestFile(run), "utf8").trim());
}

/** The Hugging Face folder that `path` stands for: itself, or the finished or newest model of a run's folder. */
export function modelFolder(path: string): string {
  if (existsSync(join(path, "config.json"))) return path;
  if (existsSync(join(finishedModelOf(path), "config.json"))) return finishedModelOf(path);
  return latestCheckpoint(path) ?? path;
}
