// A share of work whose shares need nothing of each other: part `number` of `of`, written `3/64` and counted from 1, as test
// runners count their shards. Its results lie beside those of the other parts, and merge.

import { InputError } from "./input-error.js";

/** Part `number`, from 1, of `of`. */
export interface Part {
  number: number;
  of: number;
}

/**
 * The part that a text names: `3/64`, or `rank` for that of the rank which the launcher gave this process; `launched` says it.
 * Throws where it is neither, or there is no launcher.
 */
export function parsePart(text: string, launched: () => { rank: number; size: number } | undefined): Part {
  if (text === "rank") {
    const place = launched();
    if (place) return { number: place.rank + 1, of: place.size };
    throw new InputError(
      "part rank: expected a launcher's rank, got a process that none has started\n" +
        "Start it with neobert launch, torchrun, srun or mpirun, or write the part as i/n.",
    );
  }
  const [, number, of] = /^(\d{1,9})\/(\d{1,9})$/.exec(text) ?? [];
  if (Number(number) >= 1 && Number(number) <= Number(of)) return { number: Number(number), of: Number(of) };
  throw new InputError(
    `part: expected i/n with i from 1 to n, such as 3/64, or rank, got ${JSON.stringify(text)}\n` +
      "Parts are counted from 1.",
  );
}

/** `3/64` */
export const partText = ({ number, of }: Part): string => `${number}/${of}`;

const namePattern = /^part-(\d{4,9})-of-(\d{4,9})$/;

/** `part-0003-of-0064`, by which the results of all parts are sorted. */
export const partName = ({ number, of }: Part): string =>
  `part-${String(number).padStart(4, "0")}-of-${String(of).padStart(4, "0")}`;

/** The part of this name, or undefined. */
export function partNamed(name: string): Part | undefined {
  const match = namePattern.exec(name);
  return match ? { number: Number(match[1]), of: Number(match[2]) } : undefined;
}

/** Which parts these names are of, in their order, and which lack; `of` is 0 where there is none. Throws where divisions are mixed. */
export function partsAmong(names: readonly string[], where: string): { of: number; there: Part[]; missing: Part[] } {
  const named = names.flatMap((name) => partNamed(name) ?? []);
  const divisions = [...new Set(named.map(({ of }) => of))].sort((a, b) => a - b);
  if (divisions.length > 1) {
    throw new InputError(
      `${where}: expected parts of one division, got ${divisions.map((of) => `some of ${of}`).join(" and ")}\n` +
        "Remove those that are not wanted.",
    );
  }
  const [of = 0] = divisions;
  const numbers = new Set(named.map(({ number }) => number));
  const all = Array.from({ length: of }, (_, index): Part => ({ number: index + 1, of }));
  const there = all.filter(({ number }) => numbers.has(number));
  return { of, there, missing: all.filter(({ number }) => !numbers.has(number)) };
}

const shownParts = 12;

/** `2/4, 3/4`, of the first of them where they are many. */
export function partsText(parts: readonly Part[]): string {
  const names = parts.slice(0, shownParts).map(partText).join(", ");
  return parts.length > shownParts ? `${names} and ${parts.length - shownParts} more` : names;
}

/**
 * Every n-th of the items, the first of part 1 and so on: shares whose sizes differ by one at most. `turn` begins with
 * another part, so that of many short lists the first parts do not get more; all items without a part.
 */
export const everyNth = <Item>(items: readonly Item[], part: Part | undefined, turn = 0): Item[] =>
  items.filter((_, index) => part === undefined || (index + turn) % part.of === part.number - 1);
