// `setup-torch --cuda` against an index of this machine that serves small wheels: which members are taken, where they lie, what
// happens to a fetch that is cut off, and to bytes that are not the published ones. pip itself looks the wheels up.
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fetchCuda, hasFetchedCuda } from "../tools/setup/fetch-cuda.mjs";
import { findLibtorch } from "../tools/setup/libtorch.mjs";
import { wantedCuda } from "../tools/setup/wanted-cuda.mjs";

const hasPip =
  spawnSync("python3", ["-m", "pip", "--version"]).status === 0 &&
  `${process.platform}-${process.arch}` === "linux-x64";

const ZIP = `
import base64, hashlib, json, sys, zipfile
files, dist = json.load(open(sys.argv[2])), sys.argv[3]
record = ""
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    for name, data in files.items():
        data = base64.b64decode(data)
        archive.writestr(name, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\\n"
    archive.writestr(f"{dist}.dist-info/RECORD", record + f"{dist}.dist-info/RECORD,,\\n")
print(hashlib.sha256((record + f"{dist}.dist-info/RECORD,,\\n").encode()).hexdigest())
`;

let folder: string;
let server: Server;
let wheels: Map<string, Buffer>;
let records: Record<string, string>;
/** Ranges that were asked for, by wheel. */
let asked: { name: string; from: number; to: number }[];
/** What becomes of an answer: bytes after which the connection breaks off, or other bytes. */
let spoil: ((name: string, bytes: Buffer, from: number) => Buffer | { cutAfter: number }) | undefined;
let servesRanges: boolean;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "neobert-cuda-"));
  wheels = new Map();
  records = {};
  asked = [];
  spoil = undefined;
  servesRanges = true;
  server = createServer(({ url = "", headers }, response) => {
    const [, project] = /^\/simple\/([\w-]+)\/$/.exec(url) ?? [];
    const name = decodeURIComponent(url.split("/").at(-1)!);
    if (project) {
      const own = [...wheels.keys()].filter((name) => name.startsWith(`${project.replaceAll("-", "_")}-`));
      response.setHeader("content-type", "text/html");
      response.end(own.map((name) => `<a href="/files/${name}#sha256=${"0".repeat(64)}">${name}</a>`).join("\n"));
      return;
    }
    const whole = wheels.get(name);
    if (!whole) return void response.writeHead(404).end();
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "")?.map(Number) ?? [];
    if (!servesRanges || from === undefined) return void response.end(whole);
    const bytes = whole.subarray(from, to! + 1);
    asked.push({ name, from, to: from + bytes.length });
    response.writeHead(206, {
      "content-range": `bytes ${from}-${from + bytes.length - 1}/${whole.length}`,
      "content-length": bytes.length,
    });
    const sent = spoil?.(name, bytes, from) ?? bytes;
    if (Buffer.isBuffer(sent)) return void response.end(sent);
    response.write(bytes.subarray(0, sent.cutAfter), () => setTimeout(() => response.destroy(), 50));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  vi.stubEnv("PIP_INDEX_URL", `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`);
  for (const name of ["PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"]) vi.stubEnv(name, "");
});

afterEach(() => {
  vi.unstubAllEnvs();
  server.close();
  server.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

const big = randomBytes(400_000);
const torchFiles = () => ({
  "torch/lib/libtorch_cpu.so": Buffer.from("cpu"),
  "torch/lib/libc10.so": Buffer.from("c10"),
  "torch/lib/libtorch_cuda.so": big,
  "torch/lib/libc10_cuda.so": Buffer.from("c10 of cuda"),
  "torch/lib/libtorch_python.so": Buffer.from("python"),
  "torch/include/torch/csrc/api/include/torch/version.h": Buffer.from("2.9.1"),
  "torch-2.9.1.dist-info/METADATA": Buffer.from(
    'Requires-Dist: sympy>=1.13\nRequires-Dist: nvidia-cublas-cu12==12.8.4.1; platform_system == "Linux"\n' +
      "Requires-Dist: triton==3.5.1\n",
  ),
});

function addWheel(name: string, version: string, tags: string, files: Record<string, Buffer>): void {
  const dist = `${name.replaceAll("-", "_")}-${version}`;
  const [zip, listed] = [join(folder, `${dist}.zip`), join(folder, `${dist}.json`)];
  writeFileSync(
    listed,
    JSON.stringify(Object.fromEntries(Object.entries(files).map(([path, data]) => [path, data.toString("base64")]))),
  );
  const made = spawnSync("python3", ["-c", ZIP, zip, listed, dist], { encoding: "utf8" });
  records[`${name}==${version}`] = made.stdout.trim();
  wheels.set(`${dist}-${tags}.whl`, readFileSync(zip));
}

function addWheels(torch: Record<string, Buffer> = torchFiles()): void {
  addWheel("torch", "2.9.1", "cp311-cp311-manylinux_2_28_x86_64", torch);
  addWheel("nvidia-cublas-cu12", "12.8.4.1", "py3-none-manylinux_2_27_x86_64", {
    "nvidia/__init__.py": Buffer.from(""),
    "nvidia/cublas/include/cublas.h": Buffer.from("header"),
    "nvidia/cublas/lib/libcublas.so.12": Buffer.from("cublas".repeat(1000)),
    "nvidia/cublas/lib/libnvblas.so.12": Buffer.from("not needed"),
  });
}

const target = () => join(folder, "libtorch");
const fetchInto = () => {
  mkdirSync(target(), { recursive: true });
  return fetchCuda({ folder: target(), version: "2.9.1", python: "python3", note: () => {}, records, retryMs: 1 });
};
const filesIn = (path: string) =>
  readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(path.length + 1))
    .sort();

describe.skipIf(!hasPip)("fetching CUDA's libraries", { timeout: 60_000 }, () => {
  test("takes what libtorch_cuda loads out of its wheels, in their layout, and leaves what is there", async () => {
    addWheels();
    mkdirSync(join(target(), "torch/lib"), { recursive: true });
    writeFileSync(join(target(), "torch/lib/libtorch_cpu.so"), "CPU"); // of the published size
    writeFileSync(join(target(), "torch/lib/libc10.so"), "c10 of another build");
    expect(hasFetchedCuda(target())).toBe(false);
    await fetchInto();
    expect(filesIn(target())).toEqual([
      "cuda-files.json",
      "nvidia/cublas/lib/libcublas.so.12",
      "torch/lib/libc10.so",
      "torch/lib/libc10_cuda.so",
      "torch/lib/libtorch_cpu.so",
      "torch/lib/libtorch_cuda.so",
    ]);
    expect(readFileSync(join(target(), "torch/lib/libtorch_cuda.so"))).toEqual(big);
    expect(readFileSync(join(target(), "torch/lib/libtorch_cpu.so"), "utf8")).toBe("CPU");
    expect(readFileSync(join(target(), "torch/lib/libc10.so"), "utf8")).toBe("c10");
    expect(hasFetchedCuda(target())).toBe(true);
    rmSync(join(target(), "nvidia/cublas/lib/libcublas.so.12"));
    expect(hasFetchedCuda(target())).toBe(false);
  });

  test("a fetch that breaks off goes on from its last byte, in the same run and in the next", async () => {
    addWheels();
    let cuts = 0;
    const isMember = (bytes: Buffer) => bytes.length > 100_000;
    spoil = (_name, bytes) => {
      if (!isMember(bytes) || cuts >= 2) return bytes;
      cuts++;
      return { cutAfter: 70_000 };
    };
    await fetchInto();
    const parts = asked.filter(({ to, from }) => to - from > 100_000).sort((a, b) => a.from - b.from);
    expect(parts.length).toBe(3);
    expect(parts[1]!.from).toBeGreaterThan(parts[0]!.from);
    expect(parts[2]!.from).toBeGreaterThan(parts[1]!.from);
    expect(readFileSync(join(target(), "torch/lib/libtorch_cuda.so"))).toEqual(big);

    rmSync(target(), { recursive: true });
    asked = [];
    let broken = 0;
    spoil = (_name, bytes) => (isMember(bytes) ? { cutAfter: broken++ === 0 ? 150_000 : 0 } : bytes);
    await expect(fetchInto()).rejects.toThrow(
      /torch-2\.9\.1-cp311.* breaks off .*\nrun the command again, which goes on/,
    );
    expect(hasFetchedCuda(target())).toBe(false);
    spoil = undefined;
    asked = [];
    await fetchInto();
    expect(asked.filter(({ to, from }) => to - from > 300_000)).toEqual([]);
    expect(readFileSync(join(target(), "torch/lib/libtorch_cuda.so"))).toEqual(big);
    expect(filesIn(target()).filter((name) => /part|new/.test(name))).toEqual([]);
  });

  test("bytes that are not the published ones are refused and leave no library", async () => {
    addWheels();
    spoil = (name, bytes) => {
      if (!name.startsWith("torch") || bytes.length < 300_000) return bytes;
      const other = Buffer.from(bytes);
      other[200_000]! ^= 1;
      return other;
    };
    const sha256 = createHash("sha256").update(big).digest("hex");
    await expect(fetchInto()).rejects.toThrow(
      new RegExp(`expected libtorch_cuda\\.so with SHA-256 ${sha256}, got .*\nrun the command again`),
    );
    expect(filesIn(target()).filter((name) => name.includes("libtorch_cuda"))).toEqual([]);
    spoil = undefined;
    await fetchInto();
    expect(hasFetchedCuda(target())).toBe(true);
  });

  test("a wheel with another RECORD, one without CUDA and an index without ranges are refused with the way out", async () => {
    addWheels();
    const honest = records["torch==2.9.1"]!;
    records["torch==2.9.1"] = "0".repeat(64);
    await expect(fetchInto()).rejects.toThrow(new RegExp(`RECORD has SHA-256 0{64}, got ${honest}\n`));
    const { "torch/lib/libtorch_cuda.so": _, ...withoutCuda } = torchFiles();
    addWheels(withoutCuda);
    await expect(fetchInto()).rejects.toThrow(
      /expected libtorch_cuda\.so in the torch wheel .*\nlook at what pip's index-url/,
    );
    servesRanges = false;
    await expect(fetchInto()).rejects.toThrow(
      /expected a part of torch-2\.9\.1-.*, got the whole file\n.*pip install torch/,
    );
    wheels.clear();
    await expect(fetchInto()).rejects.toThrow(
      /expected torch 2\.9\.1 for Linux x64 in pip's index, got no such wheel\n/,
    );
  });

  test("where CUDA is wanted a LIBTORCH without it is refused, and the cache's is given its part", async () => {
    const cached = join(folder, "cache/libtorch-2.9.1-linux-x64/torch");
    mkdirSync(join(cached, "include/torch/csrc/api/include/torch"), { recursive: true });
    mkdirSync(join(cached, "lib"));
    const header = ["MAJOR 2", "MINOR 9", "PATCH 1"].map((part) => `#define TORCH_VERSION_${part}\n`).join("");
    writeFileSync(join(cached, "include/torch/csrc/api/include/torch/version.h"), header);
    for (const name of ["libtorch_cpu", "libc10"]) writeFileSync(join(cached, "lib", `${name}.so`), "");
    const env = { ...process.env, LIBTORCH: cached };
    const find = (cuda: boolean) => findLibtorch({ cacheFolder: join(folder, "cache"), env, cuda });
    expect(await find(false)).toMatchObject({ version: "2.9.1", cuda: false });
    await expect(find(true)).rejects.toThrow(/expected LIBTORCH to name a libtorch with CUDA, got .*\nunset LIBTORCH/);
  });
});

describe("whether CUDA is wanted", () => {
  function withGpu(gpu: string | undefined): NodeJS.ProcessEnv {
    writeFileSync(join(folder, "nvidia-smi"), gpu ? `#!/bin/sh\necho ${gpu}\n` : "#!/bin/sh\nexit 9\n", {
      mode: 0o755,
    });
    return { ...process.env, PATH: `${folder}:${process.env.PATH}` };
  }

  test("NEOBERT_CUDA decides without a question, and other values of it are refused", async () => {
    const ask = vi.fn();
    const env = withGpu("H100");
    expect(await wantedCuda({ env: { ...env, NEOBERT_CUDA: "1" }, isAsking: false, ask })).toBe(true);
    expect(await wantedCuda({ env: { ...env, NEOBERT_CUDA: "0" }, isAsking: true, ask })).toBe(false);
    await expect(wantedCuda({ env: { ...env, NEOBERT_CUDA: "yes" }, isAsking: true, ask })).rejects.toThrow(
      /1 or 0, got yes/,
    );
    expect(ask).not.toHaveBeenCalled();
  });

  test("a person is asked where a GPU answers, and nobody where none does or the set-up was not asked for", async () => {
    const ask = vi.fn(async (_text: string): Promise<string | undefined> => "y");
    expect(await wantedCuda({ env: withGpu(undefined), isAsking: true, ask })).toBe(false);
    expect(await wantedCuda({ env: withGpu("H100"), isAsking: false, ask })).toBe(false);
    expect(ask).not.toHaveBeenCalled();
    expect(await wantedCuda({ env: withGpu("H100"), isAsking: true, ask })).toBe(true);
    expect(ask.mock.calls[0]![0]).toContain("(H100)");
    ask.mockResolvedValue("");
    expect(await wantedCuda({ env: withGpu("H100"), isAsking: true, ask })).toBe(false);
  });
});
