// The page of /metrics as numbers, and what the latencies between two looks at it were.

export interface Sample {
  seconds: number;
  values: Map<string, number>;
  /** Upper bound in seconds, and the requests up to it. */
  buckets: [number, number][];
}

export function parseMetrics(text: string, seconds: number): Sample {
  const sample: Sample = { seconds, values: new Map(), buckets: [] };
  for (const [, name, labels = "", number] of text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)) {
    const bound = name === "te_request_duration_bucket" ? /le="([^"]+)"/.exec(labels)?.[1] : undefined;
    if (bound) sample.buckets.push([bound === "+Inf" ? Number.POSITIVE_INFINITY : Number(bound), Number(number)]);
    else sample.values.set(labels === "" ? name! : `${name} ${labels}`, Number(number));
  }
  return sample;
}

/** Seconds that a share of the requests between two samples took at most, between the bounds of its bucket. */
export function quantile(before: Sample, after: Sample, share: number): number {
  const counts = after.buckets.map(([bound, count], i) => [bound, count - (before.buckets[i]?.[1] ?? 0)] as const);
  const all = counts.at(-1)?.[1] ?? 0;
  const at = counts.findIndex(([, count]) => count >= share * all);
  if (all <= 0) return Number.NaN;
  const [low, below] = counts[at - 1] ?? [0, 0];
  const [high, count] = counts[at]!;
  return Number.isFinite(high) ? low + ((high - low) * (share * all - below)) / (count - below || 1) : low;
}
