// `neobert serve models.yaml`: models with what each is loaded as, in place of names on the command line.
//
//   models:
//     - { name: minilm, model: sentence-transformers/all-MiniLM-L6-v2, dtype: int8, threads: 1, instances: 2 }
//     - { name: labels, model: runs/classifier, task: classify }
//
// `model` is all that an entry needs. What it leaves out is as the command's flags say.

import { z } from "zod";
import { checked } from "../files/checked.js";
import { readTextFile } from "../files/input-file.js";
import { parseYaml } from "../files/yaml.js";
import { type DeviceChoice, deviceWords, isDeviceChoice } from "../model/device-choice.js";

export const servedTasks = ["embed", "classify", "rerank", "fill-mask", "tag"] as const;
export type ServedTask = (typeof servedTasks)[number];

const count = z.int("expected a whole number of 1 or more").min(1, "expected a whole number of 1 or more");
const name = z.string("expected a text").min(1, "expected a text that is not empty");
const task = z.enum(servedTasks, `expected ${servedTasks.join(", ")}`);
const oneOf = <const T extends readonly [string, ...string[]]>(...values: T) =>
  z.enum(values, `expected ${values.join(", ")}`);

const entry = z.strictObject(
  {
    model: name,
    /** What clients call it. */
    name: name.optional(),
    task: z
      .union([task.transform((one) => [one]), z.array(task).min(1)], `expected ${servedTasks.join(", ")}`)
      .optional(),
    engine: oneOf("onnx", "torch").optional(),
    dtype: oneOf("fp32", "bf16", "int8", "auto").optional(),
    device: z.custom<DeviceChoice>(isDeviceChoice, `expected ${deviceWords}`).optional(),
    onnxFile: name.optional(),
    revision: name.optional(),
    threads: count.optional(),
    /** Engines that share the model's requests, each with weights and threads of its own. */
    instances: count.optional(),
    batchTokens: count.optional(),
    maxWaitingTokens: count.optional(),
    maxRunMs: z.number("expected a number of 1 or more").min(1, "expected a number of 1 or more").optional(),
  },
  "expected a model with its settings",
);
const file = z.strictObject(
  { models: z.array(entry, "expected a list of models").min(1, "expected one model or more") },
  "expected a list named models",
);

export type FileEntry = z.output<typeof entry>;

/** The models of a file. Throws naming the file, and the field that is wrong. */
export function readServeFile(path: string): FileEntry[] {
  const value = parseYaml(readTextFile(path), path);
  const wayOut = "docs/serving.md has an example with every field.";
  return checked(value, file, { where: path, wayOut }).models;
}
