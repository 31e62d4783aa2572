// Embedding real texts: ours against OpenVINO, transformers.js, sentence-transformers, fastembed, llama.cpp and, for NeoBERT, plain
// PyTorch (test/peers/neobert_torch.py), each in a process that stays, taking turns; every side has the same threads, and texts go
// sorted by length. Shown: texts/s (median and best), p50 and p99 of one text at a time, from the start of the process to its first
// vector (load), peak memory after one text at a time and in the end, mean cosine with our fp32 vectors; then the best of ours
// over the best peer. int8 has a table of its own, measured after the other.
//   npm run bench -- encode [minilm|bert|neobert-512|neobert-4096 ...] [--rounds=3] [--threads=N] [--match=REGEXP] [--texts=N]
// --match takes the sides with such a name ("int8|Q8_0": the second table alone); --texts the first N of each kind of texts, to see that all sides start.
// Python's libraries and npm's packages are installed on first use.
import { encodeCases, measureEncoding, scoresOf, tables } from "./encode-sides.mjs";
import { bestOf, cores, machine, markdown, median, optionsOf, percentile } from "./measure.mjs";

const options = optionsOf({ rounds: 3, threads: cores, match: "", texts: 1000 }, Object.keys(encodeCases));
const { names, rounds, threads, texts } = options;
const match = new RegExp(options.match);
const isWanted = (label) => match.test(label);

console.log(`${machine(threads)}; median (best) of ${rounds} rounds in turns`);
for (const name of names) {
  for (const table of tables) {
    const begun = performance.now();
    const { labels, sides, leftOut } = await measureEncoding(name, table, { isWanted, rounds, threads, count: texts });
    if (Object.keys(sides).length + Object.keys(leftOut).length === 0) continue;
    console.log(`\n${name}, ${table} (${((performance.now() - begun) / 60e3).toFixed(1)} minutes)\n`);
    const shown = (value) => value.toFixed(value < 10 ? 3 : 1);
    const rows = Object.entries(sides).map(([label, side]) => [
      label,
      ...labels.map((task) => `${shown(median(side.rates[task]))} (${shown(Math.max(...side.rates[task]))})`),
      side.one ? [0.5, 0.99].map((share) => percentile(side.one, share).toFixed(1)).join(" / ") : "-",
      side.loadMs.toFixed(0),
      `${side.one ? side.onePeakMB.toFixed(0) : "-"} / ${side.peakMB.toFixed(0)}`,
      side.cosine.toFixed(4),
    ]);
    const head = ["", ...labels, "one text, p50 / p99 ms", "load ms", "MB, one text / end", "mean cosine"];
    console.log(markdown([head, ...rows]));
    for (const [label, reason] of Object.entries(leftOut)) console.log(`left out: ${label}: ${reason}`);
    for (const [score, { ours, peer, ratio }] of Object.entries(bestOf(sides, scoresOf))) {
      console.log(`${score}: ${ratio.toFixed(2)} (${ours} / ${peer})`);
    }
  }
}
