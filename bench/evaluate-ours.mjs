// One side of bench/evaluate.mjs: our Encoder and evaluateMteb in a process of its own.
import { Encoder } from "neobert";
import { chooseProducts, evaluateMteb } from "neobert/evaluate";
import { answerTasks } from "./measure.mjs";

const { model: folder, engine, threads, data, dataRoot } = JSON.parse(process.argv[2]);
const model = await Encoder.load(folder, { engine, threads });
await model.encode(["a short text"]);
await chooseProducts(); // libtorch is loaded before the clock starts, as on mteb's side
await answerTasks(async ({ name }) => {
  const { outcomes } = await evaluateMteb({ model, about: { name: "minilm" }, data, dataRoot, tasks: [name] });
  const [{ score, timing, result, error }] = outcomes;
  if (error) throw error;
  const [encode, evaluation] = [timing.encodeSeconds, result.evaluation_time];
  return { score, result, encode, rest: evaluation - encode, read: timing.seconds - evaluation };
});
await model.dispose();
