// A colour for each text by its value in a column: hues for names, the most frequent first, and a ramp for numbers.

import { extent, interpolateViridis, rollups, schemeObservable10 } from "d3";
import type { TextSet } from "./texts-panel.js";

export interface GroupColours {
  of(i: number): string;
  /** Key of text `i` in the legend; "" where it has none. */
  keyOf(i: number): string;
  legend: { key: string; colour: string; count: number }[];
  /** Of numbers, in place of a legend. */
  ramp?: { least: number; most: number; colour(share: number): string };
}

const MOST_HUES = 10;
const OTHERS = "others";

export function groupColours({ groups }: TextSet, plain: string, grey: string): GroupColours {
  if (!groups) return { of: () => plain, keyOf: () => "", legend: [] };
  const { values } = groups;
  const counts = rollups(
    values,
    (same) => same.length,
    (value) => value,
  ).sort((a, b) => b[1] - a[1]);
  const numbers = values.map((value) => (value.trim() === "" ? Number.NaN : Number(value)));
  if (counts.length > MOST_HUES && numbers.filter(Number.isNaN).length < values.length / 10) {
    const [least = 0, most = 1] = extent(numbers.filter(Number.isFinite));
    const of = (i: number) =>
      Number.isFinite(numbers[i]) ? interpolateViridis((numbers[i]! - least!) / (most! - least! || 1)) : grey;
    return { of, keyOf: () => "", legend: [], ramp: { least: least!, most: most!, colour: interpolateViridis } };
  }
  const named = counts.slice(0, counts.length > MOST_HUES ? MOST_HUES - 1 : MOST_HUES);
  const legend = named.map(([key, count], i) => ({ key, count, colour: schemeObservable10[i]! }));
  const left = values.length - legend.reduce((sum, { count }) => sum + count, 0);
  if (left > 0) legend.push({ key: OTHERS, count: left, colour: grey });
  const hues = new Map(legend.map(({ key, colour }) => [key, colour]));
  const keyOf = (i: number) => (hues.has(values[i]!) ? values[i]! : OTHERS);
  return { of: (i) => hues.get(keyOf(i))!, keyOf, legend };
}
