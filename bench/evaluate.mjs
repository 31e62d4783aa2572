// MTEB end to end on the sets of test/mteb-local.yaml with all-MiniLM-L6-v2: `neobert evaluate mteb` against mteb 1.34.14 with
// sentence-transformers 5, task by task in turns, each side in a process that stays. Shown for each: seconds of encoding, of
// everything else, and on our side of reading the files (mteb's side is handed the rows); the share of all but encoding, reading
// included; the ratios, reading left out; both scores. Then the learners alone.
//   npm run bench -- evaluate [task ...] [--engine=onnx|torch] [--threads=N] [--no-learners]
// Python's side comes from the environment of `npm run test:peers`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { readLocalData } from "#neobert/evaluate/mteb/local-data";
import { selectTasks } from "#neobert/evaluate/mteb/mteb-tasks";
import { readTaskData } from "#neobert/evaluate/mteb/task-data";
import { besideGolden, goldenTasks } from "../test/minilm-scores.mjs";
import { fetchMiniLM } from "../tools/minilm.mjs";
import { cores, here, machine, needFiles, optionsOf, peerPython } from "./measure.mjs";
import { startSide } from "./side.mjs";

const {
  names,
  engine,
  threads,
  "no-learners": noLearners,
} = optionsOf({ engine: "onnx", threads: cores, "no-learners": false }, goldenTasks);
const cache = here("../.cache/bench-evaluate");
const data = here("../test/mteb-local.yaml");
const dataRoot = here("../../shared/data");
needFiles(dataRoot);
const model = await fetchMiniLM();
needFiles(model);
mkdirSync(cache, { recursive: true });

/** The task's data as mteb's side reads it, so that both score the same texts. */
async function writeForPython(task) {
  const { sources } = readLocalData(data, dataRoot);
  const read = await readTaskData(task, sources.get(task.name));
  const file = `${cache}/${task.name.replaceAll(" ", "_")}.json`;
  const plain = (_, value) => (value instanceof Map ? Object.fromEntries(value) : value);
  writeFileSync(file, JSON.stringify(read, plain));
  return file;
}

const { own } = readLocalData(data, dataRoot);
const tasks = selectTasks({ tasks: names }, own);
const sides = {
  ours: startSide(process.execPath, here("evaluate-ours.mjs"), { model, engine, threads, data, dataRoot }),
};
await sides.ours.next();
if (existsSync(peerPython)) {
  sides.mteb = startSide(peerPython, here("evaluate-mteb.py"), { model, threads });
  await sides.mteb.next();
} else console.log("mteb's side is absent: npm run test:peers -- evaluate makes its environment.");

console.log(`${machine(threads)}, engine ${engine}; seconds, one run in turns`);
const head = "encode|rest|read|rest %|mteb encode|rest|ratio encode|end to end|ours|mteb|golden".split("|");
console.log(`\n${"".padEnd(40)}${head.map((name) => name.padStart(13)).join("")}`);
const totals = { ours: { encode: 0, rest: 0, read: 0 }, mteb: { encode: 0, rest: 0, read: 0 } };

function row(name, ours, theirs, scores) {
  const whole = ({ encode, rest }) => encode + rest;
  const aside = ours.rest + ours.read;
  const share = `${((100 * aside) / (ours.encode + aside)).toFixed(1)} %`;
  const seconds = (value) => value.toFixed(2);
  const peer = theirs
    ? [theirs.encode, theirs.rest, theirs.encode / ours.encode, whole(theirs) / whole(ours)].map(seconds)
    : ["-", "-", "-", "-"];
  const cells = [...[ours.encode, ours.rest, ours.read].map(seconds), share, ...peer, ...scores];
  console.log(`${name.padEnd(40)}${cells.map((cell) => cell.padStart(13)).join("")}`);
}

for (const task of tasks) {
  const file = await writeForPython(task);
  const ours = await sides.ours.ask({ name: task.name });
  const theirs = await sides.mteb?.ask({ name: task.name, type: task.type, file });
  for (const [side, result] of Object.entries({ ours, mteb: theirs })) {
    if (!result) continue;
    totals[side].encode += result.encode;
    totals[side].rest += result.rest;
    totals[side].read += result.read ?? 0;
  }
  const points = (score) => (score === undefined ? "-" : (100 * score).toFixed(2));
  const { golden, isClose } = besideGolden(task.name, ours.result);
  const scores = [points(ours.score), points(theirs?.score), `${golden.toFixed(2)}${isClose ? "" : "!"}`];
  row(task.name, ours, theirs, scores);
}
row("all", totals.ours, sides.mteb && totals.mteb, []);
console.log("`!`: further from the golden score than golden/README.md allows.");
for (const side of Object.values(sides)) side.end();

if (!noLearners) {
  process.exitCode = spawnSync(process.execPath, [here("evaluate-learners.mjs")], { stdio: "inherit" }).status ?? 1;
}
