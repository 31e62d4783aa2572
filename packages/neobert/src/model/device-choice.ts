// Where a model is to compute, as a person says it: `cpu`, `cuda` (the GPU of this process among those of its machine),
// `cuda:1`, or `auto`, a GPU where one can be used.

export type DeviceChoice = "cpu" | "auto" | "cuda" | `cuda:${number}`;

export const devicePattern = /^(?:cpu|auto|cuda(?::\d{1,3})?)$/;
export const deviceWords = "cpu, cuda, cuda:0 and its like, or auto";

export const isDeviceChoice = (value: unknown): value is DeviceChoice =>
  typeof value === "string" && devicePattern.test(value);
