// The set-up's search for libtorch, on made-up folders and a made-up answer of the archive's host: nothing is fetched here.
// Python 3 itself is used (to ask for its torch, and to unpack), so these need one on the PATH.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fetchLibtorch } from "../tools/setup/fetch-libtorch.mjs";
import { findLibtorch } from "../tools/setup/libtorch.mjs";
import { withLock } from "../tools/setup/steps.mjs";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
const extension = process.platform === "darwin" ? "dylib" : "so";
const platform = `${process.platform}-${process.arch}`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "neobert-setup-"));
});

afterEach(() => {
  vi.unstubAllGlobals();
  rmSync(folder, { recursive: true, force: true });
});

function write(path: string, text = ""): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
}

function versionHeader(version: string): string {
  const [major, minor, patch] = version.split(".");
  return `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`;
}

function writeLibtorch(at: string, version: string): void {
  write(join(at, "include/torch/csrc/api/include/torch/version.h"), versionHeader(version));
  for (const name of ["libtorch_cpu", "libc10"]) write(join(at, "lib", `${name}.${extension}`));
}

describe("finding libtorch", () => {
  test("LIBTORCH naming a libtorch before 2.9 is refused with its version and the way out", async () => {
    writeLibtorch(folder, "2.8.0");
    const found = findLibtorch({ cacheFolder: join(folder, "cache"), env: { ...process.env, LIBTORCH: folder } });
    await expect(found).rejects.toThrow(/2\.9 or later, got .* \(it is 2\.8\.0\)\nunset LIBTORCH/);
  });

  test.skipIf(!hasPython)(
    "Python's torch is taken from 2.9 on, and passed over for the user's cache before",
    async () => {
      const site = join(folder, "site");
      write(join(site, "torch/__init__.py"), "raise ImportError('the set-up must not import torch')");
      const cached = join(folder, "cache", `libtorch-2.9.1-${platform}`, "torch");
      writeLibtorch(cached, "2.9.1");
      const { LIBTORCH: _, ...rest } = process.env;
      const find = () => findLibtorch({ cacheFolder: join(folder, "cache"), env: { ...rest, PYTHONPATH: site } });
      writeLibtorch(join(site, "torch"), "2.10.0");
      expect(await find()).toMatchObject({ version: "2.10.0", lib: join(site, "torch/lib"), cuda: false });
      writeLibtorch(join(site, "torch"), "2.8.0");
      expect(await find()).toMatchObject({ version: "2.9.1", lib: join(cached, "lib") });
    },
  );
});

describe.skipIf(!hasPython || !["linux-x64", "darwin-arm64"].includes(platform))("fetching libtorch", () => {
  function zipOfLibtorch(): Uint8Array<ArrayBuffer> {
    const file = join(folder, "made.zip");
    writeLibtorch(join(folder, "made/libtorch"), "2.9.1");
    write(join(folder, "made/libtorch/lib", `libtorch_python.${extension}`));
    spawnSync("python3", ["-m", "zipfile", "-c", file, join(folder, "made/libtorch")]);
    return new Uint8Array(readFileSync(file));
  }

  test("the CPU archive becomes a folder that is found afterwards, without the libraries that are not needed", async () => {
    const zip = zipOfLibtorch();
    vi.stubGlobal("fetch", async () => new Response(zip, { headers: { "content-length": String(zip.length) } }));
    const cache = join(folder, "cache");
    const target = join(cache, `libtorch-2.9.1-${platform}`);
    await fetchLibtorch({ target, python: "python3", note: () => {} });
    expect(readdirSync(cache)).toEqual([`libtorch-2.9.1-${platform}`]);
    expect(readdirSync(join(target, "torch/lib")).sort()).toEqual([`libc10.${extension}`, `libtorch_cpu.${extension}`]);
  });

  test("an archive that breaks off and a pip that fails leave nothing behind and name the way out", async () => {
    const zip = zipOfLibtorch();
    const body = () =>
      new ReadableStream({
        start(controller) {
          controller.enqueue(zip.subarray(0, zip.length / 2));
          controller.error(new Error("connection reset"));
        },
      });
    vi.stubGlobal("fetch", async () => new Response(body()));
    const python = join(folder, "python");
    writeFileSync(python, "#!/bin/sh\necho No module named pip\nexit 1\n", { mode: 0o755 });
    const cache = join(folder, "cache");
    // What a fetch of a process that is dead left there.
    mkdirSync(join(cache, "fetching-999999999"), { recursive: true });
    const fetched = fetchLibtorch({ target: join(cache, "libtorch"), python, note: () => {} });
    await expect(fetched).rejects.toThrow(/pip download torch==2\.9\.1 failed\ninstall Python's pip/);
    expect(readdirSync(cache)).toEqual([]);
  });
});

test("a set-up takes over an empty lock, which a kill has left, at once", { timeout: 5_000 }, async () => {
  const lock = join(folder, "lock");
  writeFileSync(lock, "");
  expect(await withLock(lock, async () => readFileSync(lock, "utf8"))).toBe(String(process.pid));
  expect(readdirSync(folder)).toEqual([]);
});

test("of set-ups that find a dead one's lock at once, one at a time runs", { timeout: 60_000 }, async () => {
  const lock = join(folder, "lock");
  const log = join(folder, "log");
  writeFileSync(lock, "999999999");
  // Each is stalled between reading the dead lock and taking it over, where a lock of another would be removed.
  const script = `
    import { appendFileSync } from "node:fs";
    const pause = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
    const kill = process.kill;
    process.kill = (pid, signal) => {
      if (pid === 999999999) pause(Number(process.argv[1]));
      return kill(pid, signal);
    };
    const { withLock } = await import(${JSON.stringify(new URL("../tools/setup/steps.mjs", import.meta.url).href)});
    pause(Math.max(0, ${Date.now() + 2000} - Date.now()));
    await withLock(${JSON.stringify(lock)}, async () => {
      appendFileSync(${JSON.stringify(log)}, "in\\n");
      await new Promise((resolve) => setTimeout(resolve, 1500));
      appendFileSync(${JSON.stringify(log)}, "out\\n");
    });`;
  const run = (stallMs: number) =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script, String(stallMs)], {
        stdio: "ignore",
      });
      child.on("exit", resolve);
    });
  expect(await Promise.all([run(300), run(600), run(900)])).toEqual([0, 0, 0]);
  expect(readFileSync(log, "utf8")).toBe("in\nout\n".repeat(3));
});

test("a set-up takes over the lock of one that was killed, and frees it when it fails", async () => {
  const lock = join(folder, "lock");
  writeFileSync(lock, "999999999");
  const failing = withLock(lock, async () => {
    expect(readFileSync(lock, "utf8")).toBe(String(process.pid));
    throw new Error("stopped");
  });
  await expect(failing).rejects.toThrow("stopped");
  expect(existsSync(lock)).toBe(false);
});
