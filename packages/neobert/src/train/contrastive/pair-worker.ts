// Worker entry: makes one step's batch for every message, and hands its arrays over without copying.

import { parentPort, workerData } from "node:worker_threads";
import { createPairBatches, type PairBatchOptions, type PairCursor } from "./pair-batches.js";

const { options, cursor } = workerData as { options: PairBatchOptions; cursor: PairCursor | undefined };
const batches = createPairBatches(options, cursor);

// One request after another, although making a batch is asynchronous.
let turn: Promise<unknown> = batches;
parentPort!.on("message", () => {
  turn = turn.then(async () => {
    const step = await (await batches).nextStep();
    const buffers = step.microBatches.flatMap(({ parts, labels, excluded }) =>
      [labels, excluded, ...parts.flatMap(({ ids, cuSeqlens, skip }) => [ids, cuSeqlens, skip])].map(
        ({ buffer }) => buffer,
      ),
    );
    parentPort!.postMessage(step, buffers);
  });
});
