// One side of bench/evaluate.mjs: our Encoder and evaluateMteb in a process of its own. Reads a task a line, answers with a line.
import { createInterface } from "node:readline";
import { Encoder } from "neobert";
import { chooseProducts, evaluateMteb } from "neobert/evaluate";

const { model: folder, engine, threads, data, dataRoot } = JSON.parse(process.argv[2]);
const model = await Encoder.load(folder, { engine, threads });
await model.encode(["a short text"]);
await chooseProducts(); // libtorch is loaded before the clock starts, as on mteb's side
console.log("{}");
for await (const line of createInterface({ input: process.stdin })) {
  const { name } = JSON.parse(line);
  const { outcomes } = await evaluateMteb({ model, about: { name: "minilm" }, data, dataRoot, tasks: [name] });
  const [{ score, timing, result, error }] = outcomes;
  if (error) throw error;
  const [encode, evaluation] = [timing.encodeSeconds, result.evaluation_time];
  console.log(JSON.stringify({ score, result, encode, rest: evaluation - encode, read: timing.seconds - evaluation }));
}
await model.dispose();
