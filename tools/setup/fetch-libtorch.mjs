// Fetches libtorch once: PyTorch's CPU archive if its host answers within five seconds, else the libraries and headers
// out of PyPI's `torch` wheel, for a fixed platform and not for the user's Python. Of the wheel's CUDA libraries only the
// two small ones are kept that libtorch_cpu itself loads (its RPATH wants them in nvidia/ beside torch/).
// Everything is unpacked under a temporary name and renamed, so a kill at any moment leaves nothing that looks whole.
// Linux arm64 and macOS are written from the published file lists and untested.
import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { isAlive, run, SetupError, tail } from "./steps.mjs";

export const LIBTORCH_VERSION = "2.9.1";

const CONNECT_TIMEOUT_MS = 5_000;
const STALL_TIMEOUT_MS = 60_000;
const ARCHIVES = "https://download.pytorch.org/libtorch/cpu";

// PyPI's wheel for CPython 3.11; any of its wheels carries the same libraries.
const PLATFORMS = {
  "linux-x64": {
    archive: `libtorch-shared-with-deps-${LIBTORCH_VERSION}%2Bcpu.zip`,
    tags: ["manylinux_2_28_x86_64", "manylinux2014_x86_64"],
    abi: "cp311",
    companions: ["nvidia-cuda-cupti-cu12", "nvidia-cuda-runtime-cu12"],
  },
  "linux-arm64": { tags: ["manylinux_2_28_aarch64"], abi: "cp311", companions: [] },
  "darwin-arm64": {
    archive: `libtorch-macos-arm64-${LIBTORCH_VERSION}.zip`,
    tags: ["macosx_11_0_arm64"],
    abi: "none",
    companions: [],
  },
};

const NOT_NEEDED =
  "libtorch_cuda|libtorch_python|libtorch_nvshmem|libtorch_global_deps|libtorch\\.|libc10_cuda|libcaffe2|libshm";
const TORCH_MEMBERS = `^(torch|libtorch)/(include/|lib/(?!${NOT_NEEDED})[^/]*\\.(so[.0-9]*|dylib)$)|^torch\\.libs/`;
const COMPANION_MEMBERS = "/lib/lib(cupti|cudart)\\.so";
const UNPACK = `
import re, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
archive.extractall(sys.argv[2], [name for name in archive.namelist() if re.search(sys.argv[3], name)])
`;
const METADATA = `
import sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
print(archive.read(next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))).decode())
`;

/**
 * Makes `target` with `torch/include` and `torch/lib` and returns where they came from. `python` is an interpreter with
 * pip; pip's own configuration (index, proxy, certificates) is left as the user has it.
 */
export async function fetchLibtorch({ target, python, note }) {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`];
  if (!platform) {
    throw new SetupError(
      `set-up: expected Linux x64, Linux arm64 or macOS arm64, got ${process.platform} ${process.arch}\n` +
        "set LIBTORCH to a folder with libtorch's include/ and lib/ for this machine",
    );
  }
  if (!python) {
    throw new SetupError(
      "set-up: expected Python 3 with pip on the PATH to fetch and unpack libtorch, found none\n" +
        "install it (Debian, Ubuntu: apt install python3-pip), or set LIBTORCH to a folder with libtorch's include/ and lib/",
    );
  }
  const cacheFolder = dirname(target);
  mkdirSync(cacheFolder, { recursive: true });
  removeLeftovers(cacheFolder);
  const temporary = join(cacheFolder, `fetching-${process.pid}`);
  const unpacked = join(temporary, "unpacked");
  mkdirSync(unpacked, { recursive: true });
  try {
    const fromArchive = platform.archive && (await fetchArchive({ platform, temporary, unpacked, python, note }));
    if (!fromArchive) await fetchWheels({ platform, temporary, unpacked, python, note });
    rename(unpacked, target);
    return fromArchive ? "PyTorch's CPU archive" : "PyPI's torch wheel";
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

// False where the host cannot be reached, has no such file or stalls: the wheel is the way out.
async function fetchArchive({ platform, temporary, unpacked, python, note }) {
  const file = join(temporary, "libtorch.zip");
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(`${ARCHIVES}/${platform.archive}`, { signal: abort.signal });
    if (!response.ok || !response.body) return false;
    const totalBytes = Number(response.headers.get("content-length"));
    let bytes = 0;
    const meter = new Transform({
      transform(chunk, _encoding, done) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), STALL_TIMEOUT_MS);
        bytes += chunk.length;
        note(`fetching PyTorch's CPU archive: ${megabytes(bytes)} of ${megabytes(totalBytes)} MB`);
        done(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(response.body), meter, createWriteStream(file), { signal: abort.signal });
  } catch (error) {
    if (error.code === "ENOSPC") throw diskFull(temporary);
    return false;
  } finally {
    clearTimeout(timer);
  }
  note("unpacking PyTorch's CPU archive");
  await unpack({ python, file, folder: unpacked, members: TORCH_MEMBERS });
  renameSync(join(unpacked, "libtorch"), join(unpacked, "torch"));
  return true;
}

async function fetchWheels({ platform, temporary, unpacked, python, note }) {
  const download = (requirement) => downloadWheel({ requirement, platform, temporary, python, note });
  const torch = await download(`torch==${LIBTORCH_VERSION}`);
  const metadata = (await run(python, ["-c", METADATA, torch])).output;
  note("unpacking torch");
  await unpack({ python, file: torch, folder: unpacked, members: TORCH_MEMBERS });
  rmSync(torch);
  for (const name of platform.companions) {
    const version = metadata.match(new RegExp(`^Requires-Dist: ${name}==([^;\\s]+)`, "m"))?.[1];
    if (!version) continue;
    const wheel = await download(`${name}==${version}`);
    await unpack({ python, file: wheel, folder: unpacked, members: COMPANION_MEMBERS });
  }
}

// pip shows no progress where its output is no terminal: its temporary files' size is the progress.
async function downloadWheel({ requirement, platform, temporary, python, note }) {
  const [name] = requirement.split("==");
  const folder = join(temporary, name);
  const work = join(temporary, "pip");
  for (const path of [folder, work]) mkdirSync(path, { recursive: true });
  let total = "";
  const meter = setInterval(() => note(`fetching ${name}: ${megabytes(folderBytes(work))} MB${total}`), 500);
  const onLine = (line) => {
    const size = line.match(/Downloading .*\(([\d.]+ [kM]B)\)/)?.[1];
    if (size) total = ` of ${size}`;
  };
  const args = ["-m", "pip", "download", requirement, "--no-deps", "--only-binary=:all:", "--no-cache-dir"];
  args.push("--implementation", "cp", "--python-version", "3.11", "--abi", platform.abi, "--dest", folder);
  for (const tag of platform.tags) args.push("--platform", tag);
  const { code, output } = await run(python, args, { env: { TMPDIR: work, PYTHONUNBUFFERED: "1" }, onLine });
  clearInterval(meter);
  const wheel = readdirSync(folder).find((file) => file.endsWith(".whl"));
  if (code === 0 && wheel) return join(folder, wheel);
  if (/No space left/.test(output)) throw diskFull(temporary);
  const wayOut = /No module named pip/.test(output)
    ? "install Python's pip (Debian, Ubuntu: apt install python3-pip)"
    : "check the network and pip's proxy and index settings, or set LIBTORCH to a folder with libtorch's include/ and lib/";
  throw new SetupError(`${tail(output, 8)}\nset-up: ${python} -m pip download ${requirement} failed\n${wayOut}`);
}

async function unpack({ python, file, folder, members }) {
  const { code, output } = await run(python, ["-c", UNPACK, file, folder, members]);
  if (code === 0) return;
  if (/No space left/.test(output)) throw diskFull(folder);
  throw new SetupError(
    `${tail(output, 3)}\nset-up: cannot unpack ${basename(file)}\nrun the command again to fetch it anew`,
  );
}

// Another process may have put the same libraries there meanwhile; they serve as well.
function rename(from, target) {
  try {
    renameSync(from, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  }
}

function removeLeftovers(cacheFolder) {
  for (const name of readdirSync(cacheFolder)) {
    const pid = Number(name.match(/^fetching-(\d+)$/)?.[1]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(cacheFolder, name), { recursive: true, force: true });
  }
}

function folderBytes(folder) {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    // A file pip is done with may be gone by now.
    if (entry.isFile())
      bytes += statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

function diskFull(folder) {
  return new SetupError(
    `set-up: expected 2 GB of free disk space for libtorch, got a full disk at ${folder}\n` +
      "free some, or set NEOBERT_CACHE to a folder on another disk",
  );
}

function megabytes(bytes) {
  return Math.round(bytes / 1e6);
}
