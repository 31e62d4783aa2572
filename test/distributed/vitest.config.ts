import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// `npm run test:distributed`: what needs several processes for minutes, or Python's torchrun. One file at a time: each uses all cores.
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/distributed/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 60_000,
    passWithNoTests: false,
  },
});
