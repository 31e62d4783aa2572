// What the benchmarks share: options of the command line, the machine's line, medians, sides that take turns, real texts.
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";

/** The path of a file that is named from this folder. */
export const here = (name) => fileURLToPath(new URL(name, import.meta.url));
export const shared = (path) => here(`../../shared/data/${path}`);
/** Python with the libraries that `npm run test:peers` installs. */
export const peerPython = here("../.cache/peers/transformers-4/bin/python");
export const cores = availableParallelism();

/**
 * The command line by the defaults of its options: of a number a number is made, `false` is a switch, undefined a text
 * without default. `names` are the words beside the options: those of `known` that are named, all where none is.
 */
export function optionsOf(defaults, known = []) {
  const options = Object.entries(defaults).map(([name, value]) => {
    const isText = typeof value !== "boolean";
    return [name, { type: isText ? "string" : "boolean", default: isText && value !== undefined ? `${value}` : value }];
  });
  const { values, positionals } = parseArgs({ options: Object.fromEntries(options), allowPositionals: true });
  for (const [name, value] of Object.entries(defaults)) {
    if (typeof value === "number") values[name] = Number(values[name]);
  }
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown) throw new Error(`bench: expected names of ${known.join(", ") || "nothing"}, got ${unknown}`);
  return { ...values, names: positionals.length > 0 ? positionals : known };
}

/** Ends the process where one of the files is absent, which is said. */
export function needFiles(...files) {
  const absent = files.findIndex((file) => !file || !existsSync(file));
  if (absent < 0) return;
  console.log(
    `Skipped: ${files[absent] ?? "all-MiniLM-L6-v2"} is absent (npm run test:peers makes Python's environments).`,
  );
  process.exit(0);
}

export const machine = (threads) => `${cpus()[0].model}, ${threads} threads, Node ${process.version}`;

export const sorted = (list) => [...list].sort((a, b) => a - b);
export const median = (list) => sorted(list)[list.length >> 1];
export const percentile = (list, share) => sorted(list)[Math.min(list.length - 1, Math.floor(share * list.length))];
export const total = (list) => list.reduce((sum, value) => sum + value, 0);

export function secondsOf(work) {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

export async function msOf(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What each side gives in each round, the sides taking turns, each first every other time; the first rounds warm up. */
export async function inTurns(sides, rounds, warmUp = 1) {
  const results = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = -warmUp; round < rounds; round++) {
    const order = Object.keys(sides);
    for (const side of round % 2 === 0 ? order : order.reverse()) {
      const result = await sides[side](round);
      if (round >= 0) results[side].push(result);
    }
  }
  return results;
}

/** The work of a side (side.mjs): says that it is ready, then answers each task, a line of JSON, with such a line. */
export async function answerTasks(answer) {
  console.log("{}");
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
}

/** The same for encoding: a task's texts all at once, or one at a time where it says `single`; times in ms. */
export const answerEncodings = (encodeOne, encodeAll) =>
  answerTasks(async ({ texts, single }) => {
    const [times, vectors] = [[], []];
    for (const part of single ? texts : [texts]) {
      times.push(await msOf(async () => vectors.push(...(single ? [await encodeOne(part)] : await encodeAll(part)))));
    }
    return { times, peakMB: peakMB(), vectors: vectors.slice(0, 64).map((vector) => [...vector]) };
  });

export const peakMB = () => process.resourceUsage().maxRSS / 1024;

/** Rows, the first of them the head, as a table of Markdown. */
export function markdown(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const [head, ...rest] = rows;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rest.map(line)].join("\n");
}

/** For each score (larger is better) the best of the sides named "ours ...", the best of the others, and their ratio. */
export function bestOf(sides, scoresOf) {
  const scored = Object.entries(sides).map(([label, side]) => ({ label, scores: scoresOf(side) }));
  const isOurs = ({ label }) => label.startsWith("ours");
  const best = (list, name) => list.reduce((a, b) => (b.scores[name] > a.scores[name] ? b : a));
  const [ours, peers] = [scored.filter(isOurs), scored.filter((side) => !isOurs(side))];
  if (ours.length === 0 || peers.length === 0) return {};
  const names = Object.keys(scored[0].scores);
  return Object.fromEntries(
    names.map((name) => {
      const [our, peer] = [best(ours, name), best(peers, name)];
      return [name, { ours: our.label, peer: peer.label, ratio: our.scores[name] / peer.scores[name] }];
    }),
  );
}

/** The same shuffle in every run: a linear congruential generator. */
export function shuffled(list) {
  const result = [...list];
  for (let i = result.length - 1, state = 42; i > 0; i--) {
    state = (1103515245 * state + 12345) % 2 ** 31;
    const j = state % (i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

const [stsFile, scifactFile] = [shared("stsb/stsb-en-test.csv"), shared("scifact/corpus.jsonl.gz")];

/** The first sentences of STS benchmark's test set, and title and text of SciFact's first abstracts. */
export function realTexts(sentenceCount, abstractCount) {
  needFiles(stsFile, scifactFile);
  const sentences = readFileSync(stsFile, "utf8")
    .split("\n", sentenceCount)
    .map((line) => /^(?:"((?:[^"]|"")*)"|([^,]*)),/.exec(line)?.slice(1).find(Boolean) ?? line);
  const lines = gunzipSync(readFileSync(scifactFile)).toString().split("\n", abstractCount);
  const papers = lines.map((line) => JSON.parse(line));
  return { sentences, papers, abstracts: papers.map(({ title, text }) => `${title} ${text}`) };
}
