// Names of devices as a person writes them, on a machine without a GPU; with one, `npm run test:gpu` looks.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loadTorchEngine } from "../../engine/torch-engine.js";
import { isDeviceChoice } from "../device-choice.js";
import { goldenRoot } from "../golden.js";
import { chosenDevice } from "./chosen-device.js";

afterEach(() => {
  vi.unstubAllEnvs();
});

test("a device is cpu, auto, or a GPU with or without its number", () => {
  const names = ["cpu", "auto", "cuda", "cuda:0", "cuda:17", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:1 ", "meta", ""];
  expect(names.filter(isDeviceChoice)).toEqual(["cpu", "auto", "cuda", "cuda:0", "cuda:17"]);
});

describe.skipIf(existsSync("/proc/driver/nvidia/version"))("where no GPU can be used", () => {
  test("auto is the CPU, and a GPU by name is refused with what lacks, by an engine too", async () => {
    expect([chosenDevice("cpu"), chosenDevice("auto")]).toEqual(["cpu", "cpu"]);
    const reason = /^device: expected an NVIDIA driver for cuda, got none.*\nInstall the driver/;
    for (const choice of ["cuda", "cuda:1"] as const) expect(() => chosenDevice(choice)).toThrow(reason);
    const folder = join(goldenRoot, "neobert/base");
    await expect(loadTorchEngine(folder, { dtype: "fp32", device: "cuda" })).rejects.toThrow(reason);
  });
});
