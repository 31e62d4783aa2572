// Worker entry: writes one checkpoint, and says when it is whole or why it is not.

import { parentPort, workerData } from "node:worker_threads";
import { portableError } from "../../files/portable-error.js";
import { type CheckpointOrder, writeCheckpoint } from "./checkpoint.js";

try {
  writeCheckpoint(workerData as CheckpointOrder);
  parentPort!.postMessage(null);
} catch (error) {
  parentPort!.postMessage(portableError(error));
}
