// Every row of docs/performance.md that has a peer, short: ours over the best peer, the sides in turns, beside the figure in the
// page's first table, which is read from there. Ends with status 1 where a ratio is more than 10 % below it.
//   npm run bench -- check [--match=REGEXP] [--write] [--threads=N]
// --match takes the rows with such a name; --write puts what was measured into the column of this processor's maker.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { makeEnvironment, pythonOf } from "../test/peers/environments.mjs";
import { measureEncoding, scoresOf } from "./encode-sides.mjs";
import { bestOf, cores, here, inTurns, machine, markdown, median, optionsOf } from "./measure.mjs";
import { startSide } from "./side.mjs";

const { match, write, threads } = optionsOf({ match: "", write: false, threads: cores });
const page = here("../docs/performance.md");
const FIRST_CELL = "ours / best peer";
const realLengths = here("../../shared/peers/c4-lengths.json");

/** A step of training or encoding against PyTorch in the given modes and ways, a few batches of each in turns. */
function step(row, { rounds = 3, ...shape }, peers) {
  const measure = async () => {
    await makeEnvironment("encode", () => {});
    const flags = (options) =>
      Object.entries(options).map(([name, value]) => (value === true ? `--${name}` : `--${name}=${value}`));
    const options = { warmup: 1, steps: 1, ...shape, threads, turns: true };
    const running = { ours: startSide(process.execPath, here("train-ours.mjs"), flags(options)) };
    for (const [peer, how] of Object.entries(peers)) {
      running[peer] = startSide(pythonOf("encode"), here("train-torch.py"), flags({ ...options, ...how }));
    }
    for (const side of Object.values(running)) await side.next();
    const asked = Object.entries(running).map(([side, { ask }]) => [side, () => ask({})]);
    const results = await inTurns(Object.fromEntries(asked), rounds, 0);
    await Promise.all(Object.values(running).map(({ end }) => end()));
    const rate = (list) => ({ [row]: median(list.map(({ tokens_per_s_median }) => tokens_per_s_median)) });
    return bestOf(results, rate);
  };
  return { rows: [row], measure };
}

const eager = { "PyTorch eager": { mode: "eager" } };
const compiled = { "PyTorch compiled": { mode: "compile" } };
const packed = { "PyTorch eager, packed": { mode: "eager", pack: true } };
const some = { layers: 6, batch: 2, length: 512 };
const c4 = { layers: 6, batch: 4, lengths: realLengths, warmup: 2, steps: 2 };

/** Encoding by the sides of one type in bench/encode.mjs, on the first texts of each kind. */
function encoding(name, type, { count, rounds, peers = "OpenVINO|transformers.js .* x 1$" }) {
  const { table, pattern } = {
    fp32: { table: "fp32 and bf16", pattern: /fp32/ },
    bf16: { table: "fp32 and bf16", pattern: /bf16/ },
    int8: { table: "int8", pattern: /int8/ },
  }[type];
  const isPeer = new RegExp(`^ours|${peers}`);
  const labels = {
    minilm: ["mixed", "sentences"],
    bert: ["mixed"],
    "neobert-512": ["512 tokens"],
    "neobert-4096": ["4096 tokens"],
  }[name];
  if (!name.startsWith("neobert")) labels.push("one text, p50", "one text, p99");
  const rowOf = (label) => `encode ${name}, ${label}, ${type}`;
  const measure = async () => {
    const isWanted = (label) => pattern.test(label) && isPeer.test(label);
    const { sides } = await measureEncoding(name, table, { isWanted, rounds, threads, count, warm: false });
    const best = bestOf(sides, scoresOf);
    return Object.fromEntries(Object.entries(best).map(([label, found]) => [rowOf(label), found]));
  };
  return { rows: labels.map(rowOf), measure };
}

/** A benchmark that prints its ratio: the first number that `pattern` takes of its output. */
function printed(row, peer, script, words, pattern) {
  const measure = async () => {
    await makeEnvironment("transformers-4", () => {}); // as `npm run test:peers` does
    const { stdout, stderr } = spawnSync(process.execPath, [here(script), ...words], { encoding: "utf8" });
    const ratio = Number(pattern.exec(stdout)?.[1]);
    if (!(ratio > 0)) throw new Error(`${script} ${words.join(" ")}: expected a ratio, got\n${stdout}${stderr}`);
    return { [row]: { ours: "ours", peer, ratio } };
  };
  return { rows: [row], measure };
}

// biome-ignore format: a table
const groups = [
  step("train 6 layers, 512 tokens, fp32", { ...some, dtype: "fp32" }, compiled),
  step("train 6 layers, 512 tokens, bf16", { ...some, dtype: "bf16" }, compiled),
  step("train 6 layers, 128 tokens, bf16", { ...some, batch: 8, length: 128, dtype: "bf16" }, compiled),
  step("train 6 layers, 4096 tokens, bf16", { ...some, batch: 1, length: 4096, dtype: "bf16", rounds: 2 }, eager),
  step("train 6 layers, c4 texts, bf16", { ...c4, dtype: "bf16" }, packed),
  step("train 28 layers, 512 tokens, bf16", { ...some, layers: 28, dtype: "bf16" }, eager),
  step("no gradients, 6 layers, 512 tokens, bf16", { ...some, batch: 8, dtype: "bf16", task: "encode" }, compiled),
  step("no gradients, 6 layers, c4 texts, bf16", { ...c4, dtype: "bf16", task: "encode" }, packed),
  ...["fp32", "bf16", "int8"].map((type) => encoding("minilm", type, { count: 120, rounds: 4 })),
  ...["fp32", "bf16", "int8"].map((type) => encoding("bert", type, { count: 40, rounds: 3 })),
  ...["bf16", "int8"].map((type) => encoding("neobert-512", type, { count: 2, rounds: 2, peers: "OpenVINO .* 1 stream$" })),
  ...["bf16", "int8"].map((type) => encoding("neobert-4096", type, { count: 1, rounds: 1, peers: "OpenVINO .* 1 stream$" })),
  printed("attention 8 x 512, fp32, forward", "libtorch's flash attention", "kernels-attention.mjs", ["8x512"], /ratio ([\d.]+)/),
  printed("tokens of bert-base-uncased", "npm tokenizers", "tokenizer.mjs", ["bert-base-uncased"], /median ([\d.]+)$/m),
  printed("fine-tune MiniLM, 16 pairs, bf16", "sentence-transformers", "finetune.mjs", ["minilm", "--pairs=16", "--steps=1", "--rounds=1", "--dtypes=bf16"], /ours \/ theirs +([\d.]+)/),
  printed("evaluate STS13", "mteb", "evaluate.mjs", ["STS13", "--no-learners"], /^all(?: +\S+){8} +([\d.]+)/m),
];

const maker = /AMD|Intel/.exec(cpus()[0].model)?.[0];
const text = readFileSync(page, "utf8");
const cellsOf = (line) =>
  line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
const begin = text.indexOf(`| ${FIRST_CELL}`);
const length = text.slice(begin).search(/\n(?!\|)/);
const table = text
  .slice(begin, begin + length)
  .split("\n")
  .map(cellsOf);
const column = table[0].findIndex((cell) => maker && cell.includes(maker));
const known = groups.flatMap(({ rows }) => rows);
const unknown = table
  .slice(2)
  .map(([row]) => row)
  .filter((row) => !known.includes(row));
if (begin < 0 || unknown.length > 0) {
  throw new Error(
    `bench check: expected a table of its rows in ${page}, got ${unknown.join("; ") || "none"}\nThe rows are in bench/check.mjs.`,
  );
}

console.log(`${machine(threads)}, load ${loadavg()[0].toFixed(1)} before; ours / best peer, sides in turns`);
if (column < 0) console.log(`${page} has no column for this processor, so nothing is compared.`);
const pattern = new RegExp(match);
const [now, fallen, failed] = [new Map(), [], []];
const begun = performance.now();
for (const { rows, measure } of groups) {
  if (!rows.some((row) => pattern.test(row))) continue;
  const start = performance.now();
  try {
    for (const [row, { ratio, ours, peer }] of Object.entries(await measure())) {
      if (!pattern.test(row)) continue;
      const before = Number.parseFloat(table.find(([name]) => name === row)?.[column]);
      now.set(row, `${ratio.toFixed(2)} ${peer}`);
      if (ratio < 0.9 * before) fallen.push(row);
      const change =
        before > 0 ? `${before.toFixed(2)} in the page, ${(100 * (ratio / before - 1)).toFixed(0)} %` : "new";
      console.log(
        `${row.padEnd(40)} ${ratio.toFixed(2)} (${ours} / ${peer}); ${change}${fallen.includes(row) ? "  FELL" : ""}`,
      );
    }
  } catch (error) {
    failed.push(...rows);
    console.log(`${rows.join("; ")}: failed: ${error.message}`);
  }
  console.log(`  ${((performance.now() - start) / 1000).toFixed(0)} s`);
}
console.log(
  `${((performance.now() - begun) / 60e3).toFixed(1)} minutes; fallen by more than 10 %: ${fallen.join("; ") || "none"}`,
);
if (fallen.length + failed.length > 0) process.exitCode = 1;
if (write && column > 0) {
  const old = new Map(table.slice(2).map((cells) => [cells[0], cells]));
  const rows = known
    .filter((row) => old.has(row) || now.has(row))
    .map((row) => {
      const cells = old.get(row) ?? table[0].map((_, i) => (i === 0 ? row : ""));
      return cells.map((cell, i) => (i === column ? (now.get(row) ?? cell) : cell));
    });
  writeFileSync(page, text.slice(0, begin) + markdown([table[0], ...rows]) + text.slice(begin + length));
  console.log(`Written into ${page}; \`npm run format\` aligns it.`);
}
