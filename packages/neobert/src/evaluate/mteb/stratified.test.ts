import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { stratifiedSample } from "./stratified.js";

const golden = new URL("../../../../../test/golden/mteb/stratified.json", import.meta.url);
const cases: { labels: string; rows: number; chosen: number[] }[] = JSON.parse(readFileSync(golden, "utf8")).cases;

test.each(cases)("of $labels.length labels the $rows rows that datasets draws with seed 42 are kept", (one) => {
  expect(stratifiedSample([...one.labels], one.rows)).toEqual(one.chosen);
});
