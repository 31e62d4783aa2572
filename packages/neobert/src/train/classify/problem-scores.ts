// Held-out scores of own labelled files, by kind of problem; `main` is the one by which the best model is chosen.

import { answerDefaults, findAnswers } from "../../encoder/answers.js";
import { answerScores } from "../../evaluate/metrics/answer-metrics.js";
import { accuracy, f1Macro, precisionRecallF1 } from "../../evaluate/metrics/classification-metrics.js";
import { pearson, spearman } from "../../evaluate/metrics/correlation.js";
import { areEntityTags, entityScores } from "../../evaluate/metrics/entity-metrics.js";
import type { TaskScores } from "../loop/train-task.js";
import type { Examples } from "./examples.js";
import { IGNORED, type Problem } from "./problem.js";

/** Scores of logits [L], or [tokens * L], a text. */
export function scoresOf(problem: Problem, logits: readonly Float32Array[], examples: Examples): TaskScores {
  const targets = logits.map((_, text) => examples.targets(text));
  switch (problem.type) {
    case "single":
      return singleScores(logits, targets);
    case "multi":
      return multiScores(logits, targets);
    case "regression":
      return regressionScores(logits, targets);
    case "tokens":
      return tokenScores(problem.labels, logits, examples);
    case "spans":
      return spanScores(logits, examples);
  }
}

function singleScores(logits: readonly Float32Array[], targets: readonly Float32Array[]): TaskScores {
  const [expected, got] = [targets.map(([label]) => label!), logits.map(highest)];
  const right = accuracy(expected, got);
  return { accuracy: right, f1Macro: f1Macro(expected, got), main: right };
}

/** A label counts as given where its logit is above 0. */
function multiScores(logits: readonly Float32Array[], targets: readonly Float32Array[]): TaskScores {
  const width = logits[0]?.length ?? 0;
  const columns = Array.from({ length: width }, (_, label) => ({
    expected: targets.map((row) => row[label]!),
    got: logits.map((row) => Number(row[label]! > 0)),
  }));
  const f1 = (expected: number[], got: number[]) => precisionRecallF1(expected, got, "binary").f1;
  const [expected, got] = [columns.flatMap(({ expected }) => expected), columns.flatMap(({ got }) => got)];
  const micro = f1(expected, got);
  const macro = columns.reduce((sum, { expected, got }) => sum + f1(expected, got), 0) / width;
  const exact = logits.filter((row, text) => row.every((logit, label) => Number(logit > 0) === targets[text]![label]));
  return { f1Micro: micro, f1Macro: macro, exactMatch: exact.length / logits.length, main: micro };
}

function regressionScores(logits: readonly Float32Array[], targets: readonly Float32Array[]): TaskScores {
  const [expected, got] = [targets.map(([value]) => value!), logits.map(([value]) => value!)];
  const known = (value: number) => (Number.isNaN(value) ? 0 : value); // all values the same
  const [linear, ranked] = [known(pearson(expected, got)), known(spearman(expected, got))];
  const squares = expected.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0);
  return {
    pearson: linear,
    spearman: ranked,
    meanSquaredError: squares / expected.length,
    main: (linear + ranked) / 2,
  };
}

/**
 * By words, each at its first piece; by whole entities where the labels are tags of such. A word that the model does not see,
 * cut away or without tokens, is given O, or no label where there is no O.
 */
function tokenScores(labels: readonly string[], logits: readonly Float32Array[], examples: Examples): TaskScores {
  const width = labels.length;
  const unseen = labels.includes("O") ? "O" : "";
  const words = logits.map((own, text) => {
    const { labels: classes, tokens } = examples.words(text);
    const isLabelled = (_: unknown, word: number) => classes[word] !== IGNORED;
    return {
      expected: classes.filter(isLabelled).map((label) => labels[label]!),
      got: tokens
        .filter(isLabelled)
        .map((token) =>
          token === undefined ? unseen : labels[highest(own.subarray(token * width, (token + 1) * width))]!,
        ),
    };
  });
  const [expected, got] = [words.map(({ expected }) => expected), words.map(({ got }) => got)];
  const right = accuracy(expected.flat(), got.flat());
  if (!areEntityTags(labels)) return { accuracy: right, main: right };
  const entities = entityScores(expected, got);
  return { ...entities, accuracy: right, main: entities.f1 };
}

/** Tokens of the longest answer that is looked for, as transformers' fine-tuning on SQuAD has it. */
const MAX_ANSWER_TOKENS = 30;

/** SQuAD's, where "no answer" can be right if it is for some question. */
function spanScores(logits: readonly Float32Array[], examples: Examples): TaskScores {
  const passages = logits.map((_, text) => examples.passage(text));
  const handleImpossibleAnswer = passages.some(({ answers }) => answers.length === 0);
  const choice = { ...answerDefaults, maxAnswerTokens: MAX_ANSWER_TOKENS, handleImpossibleAnswer };
  const scores = passages.map(({ context, windows, answers }, text) => {
    let at = 0;
    const parts = windows.map(({ encoding }) => logits[text]!.subarray(at, (at += 2 * encoding.ids.length)));
    const [best] = findAnswers(context, windows, parts, { ...choice, clsId: examples.clsId });
    return answerScores(best?.text ?? "", answers.length > 0 ? answers : [""]);
  });
  const mean = (name: "exactMatch" | "f1") => scores.reduce((sum, score) => sum + score[name], 0) / scores.length;
  return { exactMatch: mean("exactMatch"), f1: mean("f1"), main: mean("f1") };
}

/** The place of the highest value. */
export function highest(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}
