// Expected entities worked out by hand from transformers' rules.

import { expect, test } from "vitest";
import { aggregate, type TokenScores } from "./entities.js";

const names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];
const text = "Ada Lovelace met Bob in Londonderry";

function tokenOf(token: string, start: number, scores: number[]): TokenScores {
  return { token, start, end: start + token.replace("##", "").length, scores: Float32Array.from(scores) };
}
const tokens = [
  tokenOf("Ada", 0, [0.1, 0.8, 0.1, 0, 0]),
  tokenOf("Love", 4, [0.2, 0.1, 0.6, 0.1, 0]),
  tokenOf("##lace", 8, [0.2, 0, 0.1, 0, 0.7]),
  tokenOf("met", 13, [0.9, 0, 0.1, 0, 0]),
  tokenOf("Bob", 17, [0.1, 0.9, 0, 0, 0]),
  tokenOf("in", 21, [1, 0, 0, 0, 0]),
  tokenOf("London", 24, [0.1, 0, 0, 0.5, 0.4]),
  tokenOf("##derry", 30, [0.6, 0, 0, 0, 0.4]),
];
const found = (aggregation: Parameters<typeof aggregate>[3], prefix: string | undefined = "##") =>
  aggregate(text, tokens, names, aggregation, prefix)
    .filter(({ label }) => label !== "O")
    .map(({ label, text, score }) => [label, text, Math.round(score * 1000) / 1000]);

test("none gives tokens with their full labels", () => {
  expect(found("none")).toEqual([
    ["B-PER", "Ada", 0.8],
    ["I-PER", "Love", 0.6],
    ["I-LOC", "lace", 0.7],
    ["B-PER", "Bob", 0.9],
    ["B-LOC", "London", 0.5],
  ]);
});

test("simple joins neighbours of one label, even where that cuts a word", () => {
  expect(found("simple")).toEqual([
    ["PER", "Ada Love", 0.7],
    ["LOC", "lace", 0.7],
    ["PER", "Bob", 0.9],
    ["LOC", "London", 0.5],
  ]);
});

test("first, average and max label whole words by their first token, the mean, the surest", () => {
  expect(found("first")).toEqual([
    ["PER", "Ada Lovelace", 0.7],
    ["PER", "Bob", 0.9],
    ["LOC", "Londonderry", 0.5],
  ]);
  expect(found("average")).toEqual([
    ["PER", "Ada Lovelace", 0.575],
    ["PER", "Bob", 0.9],
    ["LOC", "Londonderry", 0.4],
  ]);
  expect(found("max")).toEqual([
    ["PER", "Ada", 0.8],
    ["LOC", "Lovelace", 0.7],
    ["PER", "Bob", 0.9],
  ]);
});

test("without word pieces, a word ends at a space", () => {
  const tight = aggregate(text, tokens, names, "first", undefined).map(({ text }) => text);
  expect(tight).toEqual(["Ada Lovelace", "met", "Bob", "in", "Londonderry"]);
});

test("without word pieces a tab or a line's end goes on with a word, as in transformers", () => {
  const words = ["in\tParis", "in\nParis"].map((text) => {
    const parts = [tokenOf("in", 0, [0.9, 0.1, 0, 0, 0]), tokenOf("Paris", 3, [0.1, 0.9, 0, 0, 0])];
    return aggregate(text, parts, names, "first", undefined).map(({ start, end }) => [start, end]);
  });
  expect(words).toEqual([[[0, 8]], [[0, 8]]]);
});

test("a group is named by what stands behind the first dash of its label, whatever stands before it", () => {
  const label = (name: string, aggregation: "none" | "simple") =>
    aggregate("Ada", [tokenOf("Ada", 0, [0, 1])], ["O", name], aggregation, "##")[0]!.label;
  const given = ["B-PER", "S-PER", "U-LOC", "Geo-Loc", "I-a-b", "PER"];
  expect(given.map((name) => label(name, "simple"))).toEqual(["PER", "PER", "LOC", "Loc", "a-b", "PER"]);
  expect(given.map((name) => label(name, "none"))).toEqual(given);
});

test("B- begins a new entity beside one of the same kind", () => {
  const two = [tokenOf("Ada", 0, [0, 1, 0, 0, 0]), tokenOf("Love", 4, [0, 1, 0, 0, 0])];
  expect(aggregate(text, two, names, "simple", "##").map(({ text }) => text)).toEqual(["Ada", "Love"]);
});
