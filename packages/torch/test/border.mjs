// Calls functions of the addon with arguments drawn at random, as border.test.ts asks on the command line: the seed, the calls
// of each function, the file that says which call is under way, and the functions' signatures. Prints a line of JSON a function.

import { openSync, writeSync } from "node:fs";
import fc from "fast-check";
import { native } from "../dist/native.js";
import { argumentsOf, materialize, release } from "./border-arguments.mjs";

const { seed, runs, callFile, functions } = JSON.parse(process.argv[2]);
const LONGEST_MS = 20_000;
const MOST_BYTES = 2 ** 28;
const file = openSync(callFile, "w");

native.setMemoryLimit(MOST_BYTES);
for (const one of functions) {
  const ended = { name: one.name, accepted: 0, refused: 0, faults: [] };
  for (const drawn of fc.sample(argumentsOf(one), { seed: seedOf(one.name), numRuns: runs })) {
    const call = `${one.name}(${drawn.map((argument) => fc.stringify(argument)).join(", ")})`;
    writeSync(file, Buffer.from(`${call.padEnd(4000)}\n`), 0, undefined, 0);
    const fault = faultOf(one.name, drawn, ended);
    if (fault !== undefined) ended.faults.push(`${call}: ${fault}`);
  }
  console.log(JSON.stringify(ended));
}

// Each function's own, so that a draw that is seldom is not seldom for all.
function seedOf(name) {
  return [...name].reduce((hash, letter) => (hash * 31 + letter.charCodeAt(0)) | 0, seed);
}

/** What is wrong with how a call ended, or undefined. */
function faultOf(name, drawn, ended) {
  const made = { tensors: [], generators: [], bytes: [] };
  const live = native.liveTensors();
  const started = performance.now();
  let fault;
  try {
    const given = drawn.map((argument) => materialize(native, argument, made));
    const before = native.liveTensors();
    try {
      const result = native[name](...given);
      ended.accepted++;
      for (const handle of [result].flat()) {
        if (typeof handle !== "number") continue;
        made.tensors.push(handle);
        made.generators.push(handle);
        wayBack(handle, made);
      }
    } catch (error) {
      ended.refused++;
      fault = faultOfError(name, error);
      if (name !== "dispose" && native.liveTensors() > before + made.tensors.length) fault ??= "tensors left behind";
    }
  } finally {
    native.setGradEnabled(true);
    native.setNumThreads(1);
    native.setInstructionSet(native.instructionSets().at(-1));
    native.setMemoryLimit(MOST_BYTES);
  }
  if (!release(native, made)) fault ??= "bytes beside an array were changed";
  if (native.liveTensors() !== live) fault ??= `${native.liveTensors() - live} tensors left behind`;
  if (performance.now() - started > LONGEST_MS) fault ??= `took ${Math.round(performance.now() - started)} ms`;
  return fault;
}

/** The gradients of what a call returned, whose kernels are reached by no other way. */
function wayBack(handle, made) {
  const dispose = (...handles) => handles.forEach((one) => void made.tensors.push(one));
  try {
    if (!native.requiresGrad(handle)) return;
    const sum = native.sum(handle, undefined, false);
    dispose(sum);
    native.backward(sum, undefined, true);
  } catch (error) {
    if (!/^(requiresGrad|sum|backward): /.test(error.message)) throw error;
  }
}

function faultOfError(name, error) {
  if (!(error instanceof Error)) return `threw ${String(error)}, no Error`;
  if (error.message === "thrown by the argument") return undefined;
  if (error instanceof TypeError && /Symbol|toString|primitive/.test(error.message)) return undefined;
  const where = { checkAdam: "Adam", checkPackedAttention: "packedAttention", useCuda: "device" }[name] ?? name;
  if (!error.message.startsWith(`${where}: `)) return `an error without its place: ${error.message}`;
  if (/Exception raised from|\(most recent call/.test(error.message))
    return `an error with libtorch's stack: ${error.message}`;
  if (error.message.length > 2000) return `an error of ${error.message.length} characters`;
  return undefined;
}
