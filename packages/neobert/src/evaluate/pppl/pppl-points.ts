// Scores of many texts as a curve over their length: bins with median and quartiles.

/** One bin: texts longer than the bin before and of at most `length` tokens. */
export interface PplPoint {
  length: number;
  texts: number;
  median: number;
  q25: number;
  q75: number;
}

/** 64, 128, 256 ... and `maxLength` itself. */
export function doublingLengths(maxLength: number): number[] {
  const lengths: number[] = [];
  for (let length = 64; length < maxLength; length *= 2) lengths.push(length);
  return [...lengths, maxLength];
}

/** The bins that have a text. Every text must be at most as long as the last of `lengths`, which are ascending. */
export function pointsByLength(
  texts: readonly { tokens: number; pseudoPerplexity: number }[],
  lengths: readonly number[],
): PplPoint[] {
  return lengths.flatMap((length, i) => {
    const values = texts
      .filter(({ tokens }) => tokens <= length && tokens > (lengths[i - 1] ?? 0))
      .map(({ pseudoPerplexity }) => pseudoPerplexity)
      .sort((a, b) => a - b);
    if (values.length === 0) return [];
    const [q25, median, q75] = [0.25, 0.5, 0.75].map((share) => quantile(values, share));
    return [{ length, texts: values.length, median: median!, q25: q25!, q75: q75! }];
  });
}

/** Between the two nearest of ascending values, as NumPy's default. */
export function quantile(ascending: readonly number[], share: number): number {
  const place = share * (ascending.length - 1);
  const below = Math.floor(place);
  const [low, high] = [ascending[below]!, ascending[Math.min(below + 1, ascending.length - 1)]!];
  return low + (place - below) * (high - low);
}
