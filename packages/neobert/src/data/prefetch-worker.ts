// Worker entry: makes one step's batches for every message, and hands their arrays over without copying.
import { parentPort, workerData } from "node:worker_threads";
import { type BatchCursor, type BatchOptions, createBatches, type Share } from "./batches.js";

const { options, cursor, share } = workerData as {
  options: BatchOptions;
  cursor: BatchCursor | undefined;
  share: Share | undefined;
};
const batches = createBatches(options, cursor, share);

parentPort!.on("message", () => {
  const step = batches.nextStep();
  const buffers = step.microBatches.flatMap(({ ids, cuSeqlens, maskedRows, labels, pieces }) =>
    [ids, cuSeqlens, maskedRows, labels, pieces].map(({ buffer }) => buffer),
  );
  parentPort!.postMessage(step, buffers);
});
