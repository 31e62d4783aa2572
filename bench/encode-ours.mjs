// One side of bench/encode.mjs: our Encoder in a process of its own.
import { Encoder } from "neobert";
import { answerEncodings } from "./measure.mjs";

const { model, engine, dtype, threads, maxTokens, worker } = JSON.parse(process.argv[2]);
const encoder = await Encoder.load(model, { engine, dtype, threads, worker });
const how = maxTokens ? { maxTokens } : {};
await encoder.encode(["a short text"], how);
const all = (texts) => encoder.encode(texts, how);
await answerEncodings(all, all);
await encoder.dispose();
