// Exact match and token F1 of an answer's words, as SQuAD and ReCoRD count: lower case, without punctuation and articles,
// the best over the right answers.

/** Of one answer; "" is the right one where there is none. */
export function answerScores(prediction: string, answers: readonly string[]): { exactMatch: number; f1: number } {
  const got = normalised(prediction);
  const over = (score: (answer: string) => number) => Math.max(...answers.map((answer) => score(normalised(answer))));
  return { exactMatch: over((answer) => Number(answer === got)), f1: over((answer) => tokenF1(got, answer)) };
}

// Letters of all scripts make words, as in Python: the "a" of "ñandúa" is no article.
const ARTICLES = /(?<![\p{L}\p{N}_])(a|an|the)(?![\p{L}\p{N}_])/gu;

function normalised(answer: string): string {
  const bare = answer.toLowerCase().replace(/[!-/:-@[-`{-~]/g, "");
  return bare
    .replace(ARTICLES, " ")
    .split(/\s+/)
    .filter((word) => word !== "")
    .join(" ");
}

function tokenF1(got: string, expected: string): number {
  const [words, left] = [got.split(" "), expected.split(" ")];
  const expectedCount = left.length;
  let common = 0;
  for (const word of words) {
    const at = left.indexOf(word);
    if (at < 0) continue;
    left.splice(at, 1);
    common++;
  }
  if (common === 0) return 0;
  const [precision, recall] = [common / words.length, common / expectedCount];
  return (2 * precision * recall) / (precision + recall);
}
