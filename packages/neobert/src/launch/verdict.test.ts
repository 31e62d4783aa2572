// What comes of a start, from how its ranks ended.

import { expect, test } from "vitest";
import { type RankEnd, verdict } from "./verdict.js";

/** Ends in order: a status, or null for a signal; `after` those that were ended since another one had failed. */
const ends = (own: (number | null)[], after: (number | null)[] = []): RankEnd[] =>
  [...own, ...after].map((code, rank) => ({ rank, code, what: `rank ${rank}`, isAfterwards: rank >= own.length }));

test.each([
  { of: "all done", given: ends([0, 0, 0]), status: 0 },
  { of: "all told to stop", given: ends([75, 75]), status: 75 },
  { of: "Ctrl-C on one machine, which stops all", given: ends([75, 130]), status: 130 },
  { of: "told before there was a checkpoint", given: ends([143, 143]), status: 143 },
  { of: "wrong input of all", given: ends([2, 2]), status: 2 },
  { of: "wrong input of one, after others saw it go", given: ends([76, 2], [143]), status: 2 },
  { of: "wrong input of one that was then ended", given: ends([76], [2]), status: 2 },
  { of: "not finite", given: ends([77], [76, 75]), status: 77 },
  { of: "one told to stop, and one that failed then", given: ends([75, 1]), status: 1 },
])("$of: not started anew, status $status", ({ given, status }) => {
  expect(verdict(given, false, 3)).toMatchObject({ kind: "finish", status });
});

test.each([
  { of: "a killed rank", given: ends([null], [76, 75]), rank: 0, last: 76 },
  { of: "a killed rank whose peers saw it first", given: ends([76, 76, null]), rank: 2, last: 76 },
  { of: "peers alone", given: ends([76, 76]), rank: 0, last: 76 },
  { of: "a crash", given: ends([0, 134], [143]), rank: 1, last: 134 },
  { of: "a mistake of ours", given: ends([1]), rank: 0, last: 1 },
])("$of: started anew, and status $last when that is no longer allowed or wanted", ({ given, rank, last }) => {
  expect(verdict(given, false, 1)).toMatchObject({ kind: "restart", why: { rank } });
  expect(verdict(given, false, 0)).toMatchObject({ kind: "finish", status: last, why: { rank } });
  expect(verdict(given, true, 1)).toMatchObject({ kind: "finish", status: last, why: { rank } });
});
