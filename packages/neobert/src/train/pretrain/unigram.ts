// The yardstick of a first training run: a model that knows only how often each token occurs. Its cross entropy on
// held-out tokens is what a masked language model must get below to have learnt anything from context.

export interface MaskedScores {
  /** Mean cross entropy in nats. */
  loss: number;
  /** Shares of the masked tokens, from 0 to 1. */
  accuracy: number;
  top5: number;
  /** Masked tokens scored. */
  targets: number;
}

/** Occurrences of each of `vocabSize` tokens among `tokens`, one more for each, so that none is impossible. */
export function countTokens(tokens: Iterable<number>, vocabSize: number): Float64Array {
  const counts = new Float64Array(vocabSize).fill(1);
  for (const token of tokens) counts[token]!++;
  return counts;
}

/** Scores of guessing every label by the counts alone: loss in nats, the commonest token, the five commonest. */
export function unigramScores(counts: Float64Array, labels: Iterable<number>): MaskedScores {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const commonest = [...counts.keys()].sort((a, b) => counts[b]! - counts[a]!).slice(0, 5);
  let [loss, first, five, targets] = [0, 0, 0, 0];
  for (const label of labels) {
    loss -= Math.log(counts[label]! / total);
    if (label === commonest[0]) first++;
    if (commonest.includes(label)) five++;
    targets++;
  }
  return { loss: loss / targets, accuracy: first / targets, top5: five / targets, targets };
}
