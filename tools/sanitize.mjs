// `npm run test:sanitize`: the tests of packages/torch and of the model over an addon that is compiled with AddressSanitizer and
// UndefinedBehaviorSanitizer, in .cache/sanitize and beside the usual one. It fails where a test does or anything is reported.
// It needs what the set-up needs, with g++'s libasan and libubsan (Linux). Names of test files as arguments run those alone.
//
// The checks watch the addon's own code and every block of memory, whoever took it; libtorch's and Node's code is not compiled
// with them. tools/sanitize/*.supp say what of Node's and libtorch's is passed over; nothing of the addon's is.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "./setup/addon.mjs";
import { findLibtorch, userCacheFolder } from "./setup/libtorch.mjs";
import { run, SetupError, step, tail, withLock } from "./setup/steps.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, ".cache", "sanitize");
const native = join(folder, "native");
const reports = join(folder, "reports");
const logFile = join(folder, "sanitize.log");

const FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1 -O1";
const TESTS = ["packages/torch", "packages/neobert/src/model"];

const library = (name) => execFileSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
const suppressed = (name) => `suppressions=${join(root, "tools", "sanitize", `${name}.supp`)}`;

// libasan must be the first library of the process, and Node itself is not linked with it.
const environment = {
  LD_PRELOAD: ["libasan.so", "libubsan.so"].map(library).join(" "),
  // Leaks: Node and libtorch free much of theirs by ending. Wherever libtorch is loaded its libraries hold some names twice.
  ASAN_OPTIONS: [
    "detect_leaks=0",
    "detect_odr_violation=0",
    "quarantine_size_mb=64", // freed memory that is kept to be watched; a test measures what stays
    "allocator_may_return_null=1",
    "abort_on_error=1",
    `log_path=${join(reports, "report")}`,
    suppressed("address"),
  ].join(":"),
  UBSAN_OPTIONS: ["print_stacktrace=1", `log_path=${join(reports, "report")}`, suppressed("undefined")].join(":"),
  NEOBERT_ADDON: join(native, "build", "Release", "torch.node"),
};

async function build() {
  const libtorch = await step("libtorch", (note) => findLibtorch({ cacheFolder: userCacheFolder(), note }));
  cpSync(join(root, "packages", "torch", "native"), native, {
    recursive: true,
    preserveTimestamps: true,
    filter: (path) => !path.endsWith("native/build"),
  });
  await step("addon", (note) =>
    buildAddon({
      nativeFolder: native,
      libtorch,
      nodeGyp: join(root, "node_modules", "node-gyp", "bin", "node-gyp.js"),
      logFile,
      note,
      compileEnv: { CXXFLAGS: FLAGS, LDFLAGS: FLAGS },
      loadEnv: environment,
    }),
  );
}

async function test(files) {
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });
  let failed, written;
  await step("tests", async () => {
    const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
    const args = [vitest, "run", "--no-color", "--testTimeout=600000", ...files];
    const { code, output } = await run(process.execPath, args, { cwd: root, env: environment, logFile });
    failed = code !== 0;
    const lines = output.split("\n");
    // UndefinedBehaviorSanitizer's own library does not share the file of the reports with AddressSanitizer's.
    written = lines.filter((line) => line.includes("runtime error: "));
    return failed ? `failed\n${tail(output, 60)}` : lines.find((line) => /^ +Tests /.test(line))?.trim();
  });
  const found = [...written, ...readdirSync(reports).map((name) => readFileSync(join(reports, name), "utf8"))];
  await step("reports", () => (found.length > 0 ? `${found.length}\n${found.join("\n")}` : "none"));
  if (failed || found.length > 0) process.exitCode = 1;
}

try {
  await withLock(join(folder, "lock"), async () => {
    rmSync(logFile, { force: true });
    await build();
    await test(process.argv.length > 2 ? process.argv.slice(2) : TESTS);
  });
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error);
  process.exitCode = 1;
}
