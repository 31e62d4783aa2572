// Tokens with label scores into entities, by the rules of transformers' token-classification pipeline: a B- label begins an
// entity, any other goes on with a neighbour of the same kind. Pure functions.

export const aggregations = ["none", "simple", "first", "average", "max"] as const;
export type Aggregation = (typeof aggregations)[number];

export interface TokenScores {
  token: string;
  /** Place in the text, in UTF-16 units. */
  start: number;
  end: number;
  /** Probability of each label. */
  scores: Float32Array;
}

export interface Entity {
  /** The label, without what stands before its first "-" (B-, I-, S- ...) unless the aggregation is "none". */
  label: string;
  score: number;
  /** The part of the text it stands for, `text.slice(start, end)`. */
  text: string;
  start: number;
  end: number;
}

interface LabelledToken {
  label: string;
  score: number;
  start: number;
  end: number;
}

/**
 * The entities of one text. `prefix` marks tokens that go on a word ("##"); without, those with no space before or in front do:
 * no other white space ends a word, as in transformers.
 */
export function aggregate(
  text: string,
  tokens: readonly TokenScores[],
  names: readonly string[],
  aggregation: Aggregation,
  prefix: string | undefined,
): Entity[] {
  if (!aggregations.includes(aggregation)) {
    throw new Error(`tag: expected aggregation ${aggregations.join(", ")}, got ${JSON.stringify(aggregation)}`);
  }
  const isTokenwise = aggregation === "none" || aggregation === "simple";
  const words = isTokenwise ? tokens.map((token) => [token]) : wordsOf(text, tokens, prefix);
  const labelled = words.map((word): LabelledToken => {
    const { index, score } = labelOf(word, aggregation);
    return { label: names[index]!, score, start: word[0]!.start, end: word.at(-1)!.end };
  });
  const groups = aggregation === "none" ? labelled : joined(labelled);
  return groups.map(({ label, score, start, end }) => ({ label, score, text: text.slice(start, end), start, end }));
}

function wordsOf(text: string, tokens: readonly TokenScores[], prefix: string | undefined): TokenScores[][] {
  const words: TokenScores[][] = [];
  for (const token of tokens) {
    const goesOn =
      prefix === undefined
        ? token.start > 0 && !text.slice(token.start - 1, token.start + 1).includes(" ")
        : token.token.startsWith(prefix);
    if (goesOn && words.length > 0) words.at(-1)!.push(token);
    else words.push([token]);
  }
  return words;
}

function labelOf(word: readonly TokenScores[], aggregation: Aggregation): { index: number; score: number } {
  const highest = (scores: Float32Array) => {
    const score = scores.reduce((a, b) => Math.max(a, b));
    return { index: scores.indexOf(score), score };
  };
  if (aggregation === "max") {
    return word.map(({ scores }) => highest(scores)).reduce((a, b) => (b.score > a.score ? b : a));
  }
  if (aggregation !== "average") return highest(word[0]!.scores);
  const sums = new Float64Array(word[0]!.scores.length);
  for (const { scores } of word) for (const [i, score] of scores.entries()) sums[i]! += score;
  return highest(Float32Array.from(sums, (sum) => sum / word.length));
}

function joined(parts: readonly LabelledToken[]): LabelledToken[] {
  const groups: (LabelledToken & { tag: string; scores: number[] })[] = [];
  for (const { label: full, score, start, end } of parts) {
    const [, begins, tag] = /^(?:(B|I)-)?(.*)$/s.exec(full) as unknown as [string, string | undefined, string];
    const last = groups.at(-1);
    if (last && last.tag === tag && begins !== "B") {
      last.scores.push(score);
      last.end = end;
    } else groups.push({ tag, label: full.replace(/^[^-]*-/s, ""), score, start, end, scores: [score] });
  }
  return groups.map(({ scores, tag: _, ...group }) => ({
    ...group,
    score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
  }));
}
