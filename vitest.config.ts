import { configDefaults, defineConfig } from "vitest/config";

// A native addon wants a process of its own, and two cores want few of them.
export default defineConfig({
  test: {
    include: ["packages/*/src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: [...configDefaults.exclude, "test/distributed/**"], // npm run test:distributed
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    passWithNoTests: false,
    env: { ORT_DISABLE_TELEMETRY: "1" }, // for tests that import onnxruntime-node themselves
  },
});
