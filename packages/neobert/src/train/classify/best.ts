// Early stopping: which evaluation was the best so far, when to give up, and the best model kept on the disk. What an
// unbroken run would know is read from the run's metrics.jsonl on resume, which ends where the checkpoint stands.

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { replaceFolder } from "../../files/atomic.js";
import { publishModel } from "../loop/checkpoint.js";

/** Scores of an evaluation; `main` decides which is the best. */
export interface Evaluated {
  step: number;
  scores: Record<string, number>;
}

export class BestSoFar {
  readonly #patience: number;
  readonly #rank: (evaluated: Evaluated) => number[];
  best: Evaluated | undefined;
  /** Evaluations since the best one. */
  withoutGain = 0;

  /**
   * Gives up after `patience` evaluations in a row that were no better than the best. With `lossDecides` a lower loss is
   * better where the main scores are equal, as on few held-out texts they often are.
   */
  constructor(patience: number, { lossDecides = false } = {}) {
    this.#patience = patience;
    this.#rank = (evaluated) => [rank(evaluated), ...(lossDecides ? [-(evaluated.scores.loss ?? 0)] : [])];
  }

  /** Takes note of an evaluation; true where it is the best so far. A score that is no number never is. */
  add(evaluated: Evaluated): boolean {
    const isBest = !this.best || isHigher(this.#rank(evaluated), this.#rank(this.best));
    if (isBest) [this.best, this.withoutGain] = [evaluated, 0];
    else this.withoutGain++;
    return isBest;
  }

  get hasGivenUp(): boolean {
    return this.withoutGain >= this.#patience;
  }

  /** Reads the evaluations that a run has written. */
  restore(metricsFile: string): void {
    if (!existsSync(metricsFile)) return;
    for (const line of readFileSync(metricsFile, "utf8").split("\n")) {
      if (line === "") continue;
      const { step, validation } = JSON.parse(line) as { step: number; validation?: Record<string, number> };
      if (validation) this.add({ step, scores: validation });
    }
  }
}

// JSON has no NaN: what was written as one is read as null.
const rank = ({ scores }: Evaluated) => (Number.isFinite(scores.main) ? scores.main! : Number.NEGATIVE_INFINITY);

function isHigher(a: readonly number[], b: readonly number[]): boolean {
  const place = a.findIndex((value, i) => value !== b[i]);
  return place >= 0 && a[place]! > b[place]!;
}

const bestFolder = (out: string) => join(out, "best");

/** Writes a model with `write` and gives it the place of the run's best. */
export function keepBest(out: string, write: (folder: string) => void): void {
  const temporary = `${bestFolder(out)}.tmp`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  write(temporary);
  replaceFolder(temporary, bestFolder(out));
}

/** Makes the run's best model its finished one; without an evaluation the last stays. */
export function publishBest(out: string): void {
  if (existsSync(join(bestFolder(out), "config.json"))) publishModel(out, bestFolder(out));
}
