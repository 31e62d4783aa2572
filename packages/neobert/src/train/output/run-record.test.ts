import { expect, test } from "vitest";
import { parseRunConfig } from "../pretrain/pretrain-config.js";
import { type RunRecord, recordChanged, settingsChanged } from "./run-record.js";

const run = (...overrides: string[]) =>
  parseRunConfig("out: o\nmodel: {}\ndata: d\nsteps: 100\nschedule: { decaySteps: 3000 }\n", {
    file: "RUN.yaml",
    overrides,
  });

test("what is learned may not change on resume, and each change is named", () => {
  const changed = settingsChanged(
    run(),
    run("optimizer.betas=[0.9, 0.98]", "masking={ rate: 0.3 }", "model.rope=false"),
  );
  expect(changed.toSorted()).toEqual([
    "masking.rate: was 0.2, is 0.3",
    "model.rope: was not set, is false",
    "optimizer.betas.1: was 0.95, is 0.98",
  ]);
});

test("logging, evaluation, checkpoints and more steps under the same schedule may", () => {
  const other = run(
    "log.everySteps=1",
    "evaluate.tokens=9",
    "checkpoint.keep=9",
    "steps=200",
    "threads=7",
    "out=elsewhere",
  );
  expect(settingsChanged(run(), other)).toEqual([]);
});

test("another machine, build or thread count is named", () => {
  const record: RunRecord = {
    dtype: "fp32",
    threads: 2,
    ranks: 1,
    device: "cpu",
    kernels: "AVX512",
    instructionSet: "avx512",
    fusedKernels: true,
    processor: "some",
    libtorch: "2.9.1",
    neobert: "0.1.0",
  };
  expect(recordChanged(record, record)).toEqual([]);
  expect(recordChanged(record, { ...record, kernels: "AVX2", threads: 4 })).toEqual([
    "threads: was 2, is 4",
    "kernels: was AVX512, is AVX2",
  ]);
  expect(recordChanged(record, { ...record, instructionSet: "avx2", fusedKernels: false, processor: "other" })).toEqual(
    ["instructionSet: was avx512, is avx2", "fusedKernels: was true, is false", "processor: was some, is other"],
  );
  const { instructionSet: _, ...old } = record;
  expect(recordChanged(old, record)).toEqual(["instructionSet: was not recorded, is avx512"]);
});
