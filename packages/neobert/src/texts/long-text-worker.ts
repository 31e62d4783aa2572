// Worker entry: tokenizes one long text after another, with the tokenizer of the folder in workerData.

import { parentPort, workerData } from "node:worker_threads";
import { loadTokenizer } from "../tokenizer/index.js";
import { type LongTextReply, type LongTextRequest, type LongTextWorkerInput, stateOf } from "./long-texts.js";
import { TextTokenizer } from "./tokenized.js";

const port = parentPort!;
const { folder, state } = workerData as LongTextWorkerInput;
const tokenizer = new TextTokenizer(loadTokenizer(folder));
if (stateOf(folder) !== state) {
  throw new Error(`${folder}: expected the files that the model was loaded from, got others\nLoad the model anew.`);
}

port.on("message", async ({ id, input, kind, options }: LongTextRequest) => {
  let reply: LongTextReply;
  try {
    if (kind === "encoding") reply = { id, result: (await tokenizer.encodeAll([input], options))[0]! };
    else reply = { id, result: (await tokenizer.tokenizeAll([input], options)).pack([0]) };
  } catch (error) {
    reply = { id, error: error as Error };
  }
  port.postMessage(reply);
});
