// Summarization (SummEval): a machine's summary is as good as its largest similarity to a person's summary of the same text;
// the score is that quality's correlation with people's judgements, in the mean over texts.
// mteb's SummEval keeps an old mistake (its issue 1156): it averages every correlation together with its p-value. Published
// scores have it, so it is the default here; `fixed` leaves it out, as SummEvalSummarization.v2 does.

import { correlationPValue, pearson, spearman } from "../metrics/correlation.js";
import type { Encode, Scores } from "./types.js";
import { encodeUnique, gatherRows, mean, normalized, rowProduct } from "./vectors.js";

export interface SummarizationData {
  samples: readonly {
    human: readonly string[];
    machine: readonly string[];
    /** People's judgement of each machine summary. */
    relevance: readonly number[];
  }[];
}

export async function evaluateSummarization(
  { samples }: SummarizationData,
  encode: Encode,
  options: { fixed?: boolean } = {},
): Promise<Scores> {
  const texts = samples.flatMap(({ human, machine }) => [...human, ...machine]);
  const { vectors, rows } = await encodeUnique(texts, encode, "query");
  const unit = normalized(vectors);
  const found = {
    cosine: { spearman: [] as number[], pearson: [] as number[] },
    dot: { spearman: [] as number[], pearson: [] as number[] },
  };
  let at = 0;
  for (const [i, { human, machine, relevance }] of samples.entries()) {
    if (relevance.length !== machine.length) {
      throw new RangeError(
        `evaluateSummarization: expected ${machine.length} judgements in sample ${i}, got ${relevance.length}`,
      );
    }
    const mine = rows.subarray(at, (at += human.length + machine.length));
    const best = (source: typeof unit) => {
      const local = gatherRows(source, mine);
      return machine.map((_, m) =>
        human.reduce((most, _, h) => Math.max(most, rowProduct(local, human.length + m, local, h)), -Infinity),
      );
    };
    const qualities = { cosine: best(unit), dot: best(vectors) };
    const isFlat = (values: readonly number[]) => new Set(values).size === 1;
    if (isFlat(relevance) || isFlat(qualities.dot) || isFlat(qualities.cosine)) continue;
    for (const kind of ["cosine", "dot"] as const) {
      for (const [name, correlate] of Object.entries({ spearman, pearson })) {
        const r = correlate(relevance, qualities[kind]);
        const value = options.fixed ? r : (r + correlationPValue(r, relevance.length)) / 2;
        found[kind][name as "spearman" | "pearson"].push(value);
      }
    }
  }
  const [cosine, dot] = [found.cosine, found.dot];
  const cosineSpearman = mean(cosine.spearman);
  return {
    pearson: mean(cosine.pearson),
    spearman: cosineSpearman,
    cosine_spearman: cosineSpearman,
    cosine_pearson: mean(cosine.pearson),
    dot_spearman: mean(dot.spearman),
    dot_pearson: mean(dot.pearson),
    main_score: cosineSpearman,
  };
}
