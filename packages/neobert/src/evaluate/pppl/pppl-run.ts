// A whole evaluation of pseudo-perplexity: texts to scores to a curve by length, kept in a folder. `texts.jsonl` gets a line
// for every text as it is scored, found again by its token ids, so the same command goes on after a stop, and computes
// only what is new where texts or lengths have been added; `pppl.json` is the result.

import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { namingPath, writeFileAtomic } from "../../files/atomic.js";
import { packageVersion } from "../../files/package.js";
import {
  type CutOptions,
  checkedLength,
  type MaskedLM,
  type MaskedText,
  maskedText,
  type ScoreOptions,
  scoreTexts,
  type TextScore,
} from "./pppl.js";
import { doublingLengths, type PplPoint, pointsByLength } from "./pppl-points.js";

export interface PplOptions extends CutOptions, ScoreOptions {
  model: MaskedLM;
  /** The model's name in the results. */
  name: string;
  texts: Iterable<string | PlacedText> | AsyncIterable<string | PlacedText>;
  /** Upper bounds of the bins, ascending; default 64, 128, 256 ... up to the greatest length. */
  lengths?: readonly number[] | undefined;
  /** Scores each text cut to each of `lengths` that it has, so that all bins hold the same texts; default false. */
  everyLength?: boolean | undefined;
  /** Folder for the results; without it nothing is kept. */
  out?: string | undefined;
  /** What else makes the model's numbers (weights, engine, type); kept scores must agree in it. */
  settings?: Record<string, unknown> | undefined;
  /** Throws kept scores away instead of refusing those of other settings. */
  force?: boolean | undefined;
  onProgress?: ((progress: PplProgress) => void) | undefined;
}

/** A text with what errors call it, such as its file and row. */
export interface PlacedText {
  text: string;
  where: string;
}

export interface PplProgress {
  texts: number;
  textsDone: number;
  /** Tokens of all masked copies, and of those computed. */
  tokens: number;
  tokensDone: number;
  seconds: number;
}

export interface PplReport {
  model: string;
  versions: Record<string, string>;
  settings: Record<string, unknown>;
  /** In the order of the texts given. */
  texts: TextScore[];
  points: PplPoint[];
  /** Texts without a token to mask, or with `everyLength` shorter than the shortest length. */
  skipped: number;
}

/** Scores texts by length. Throws where there is nothing to score, or the folder holds scores of another kind. */
export async function evaluatePseudoPerplexity(options: PplOptions): Promise<PplReport> {
  const { model, name, sample, seed = 0, everyLength = false, onProgress = () => {} } = options;
  const given = options.lengths?.at(-1);
  const maxLength = checkedLength(model, { ...options, maxLength: options.maxLength ?? given });
  const lengths = checkedLengths(options.lengths ?? doublingLengths(maxLength), maxLength);
  const texts: MaskedText[] = [];
  let skipped = 0;
  for await (const given of options.texts) {
    const one = typeof given === "string" ? { text: given, where: "pseudo-perplexity" } : given;
    const cuts = cutsOf(model, one, { maxLength, sample, seed }, everyLength ? lengths : undefined);
    if (cuts.length === 0) skipped++;
    for (const cut of cuts) texts.push(cut);
  }
  if (texts.length === 0) {
    throw new Error(
      `pseudo-perplexity: expected texts with a token to mask${everyLength ? ` and at least ${lengths[0]} tokens` : ""}, got none in ${skipped}`,
    );
  }
  // These make a text's score; the rest only says which texts.
  const making = { ...options.settings, sample: sample ?? null, seed: sample === undefined ? null : seed };
  const kept = new KeptScores(options.out, making, options.force);
  const missing = new Map(texts.filter(({ id }) => !kept.scores.has(id)).map((text) => [text.id, text]));
  const cost = ({ ids, positions }: Pick<MaskedText, "ids" | "positions">) => ids.length * positions.length;
  const tokens = [...missing.values()].reduce((sum, text) => sum + cost(text), 0);
  const start = performance.now();
  let [textsDone, tokensDone] = [0, 0];
  for await (const score of scoreTexts(model, missing.values(), options)) {
    kept.add(score);
    textsDone++;
    tokensDone += cost(missing.get(score.id)!);
    const seconds = (performance.now() - start) / 1000;
    onProgress({ texts: missing.size, textsDone, tokens, tokensDone, seconds });
  }
  const scores = texts.map(({ id }) => kept.scores.get(id)!);
  const report: PplReport = {
    model: name,
    versions: { neobert: packageVersion(), node: process.version },
    settings: { ...making, maxLength, lengths, everyLength, trainedLength: model.maxTokens },
    texts: scores,
    points: pointsByLength(scores, lengths),
    skipped,
  };
  if (options.out !== undefined)
    writeFileAtomic(join(options.out, "pppl.json"), `${JSON.stringify(report, null, 1)}\n`);
  return report;
}

function cutsOf(
  model: MaskedLM,
  { text, where }: PlacedText,
  options: CutOptions,
  lengths?: readonly number[],
): MaskedText[] {
  const whole = maskedText(model, text, options, where);
  if (!whole || !lengths) return whole ? [whole] : [];
  return lengths
    .filter((length) => length <= whole.ids.length)
    .flatMap((maxLength) => maskedText(model, text, { ...options, maxLength }) ?? []);
}

function checkedLengths(lengths: readonly number[], maxLength: number): number[] {
  const ascends = lengths.every((length, i) => Number.isInteger(length) && length > (lengths[i - 1] ?? 2));
  if (lengths.length === 0 || !ascends || lengths.at(-1) !== maxLength) {
    throw new RangeError(
      `pseudo-perplexity: expected ascending lengths up to the greatest, ${maxLength}, got ${lengths.join(", ") || "none"}`,
    );
  }
  return [...lengths];
}

/** The scores of a folder: those found there, and those added. */
class KeptScores {
  readonly scores = new Map<string, TextScore>();
  readonly #file: string | undefined;

  constructor(out: string | undefined, settings: Record<string, unknown>, force = false) {
    if (out === undefined) return;
    mkdirSync(out, { recursive: true });
    this.#file = join(out, "texts.jsonl");
    const head = JSON.stringify({ settings });
    const [before, ...lines] = existsSync(this.#file) && !force ? wholeLines(this.#file) : [];
    if (before !== undefined && before !== head) {
      throw new Error(
        `${this.#file}: expected scores with the settings ${head}, got ${before}\n` +
          "Choose another folder, or compute all anew with `force`.",
      );
    }
    for (const line of lines) {
      const score = JSON.parse(line) as TextScore;
      this.scores.set(score.id, score);
    }
    writeFileAtomic(this.#file, `${[head, ...lines].join("\n")}\n`); // without a torn last line
  }

  add(score: TextScore): void {
    this.scores.set(score.id, score);
    const file = this.#file;
    if (file) namingPath(file, () => appendFileSync(file, `${JSON.stringify(score)}\n`));
  }
}

/** Lines that end in a newline and are JSON: a kill tears at most the last one. */
function wholeLines(file: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  const torn = lines.findIndex((line) => {
    try {
      JSON.parse(line);
      return false;
    } catch {
      return true;
    }
  });
  return torn < 0 ? lines : lines.slice(0, torn);
}
