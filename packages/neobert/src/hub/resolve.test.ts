// A small server on 127.0.0.1 answers as the Hub does: repository info, tree, and files by range. All
// tests of this folder ask it, so they stand in one file.

import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { fetchPart, readDocuments } from "../data/read/read.js";
import { Encoder } from "../encoder/encoder.js";
import { writeSmallModel } from "../encoder/fixture-encoder.js";
import { hubCachePath, hubFetch } from "./environment.js";
import { resolveDataset, resolveModel } from "./resolve.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const NEXT_COMMIT = "89abcdef0123456789abcdef0123456789abcdef";
const weights = Buffer.alloc(300_000, "weights");
const repositories: Record<string, Record<string, Buffer>> = {
  "models/acme/tiny": {
    "config.json": Buffer.from('{"model_type":"neobert"}'),
    "model.safetensors": weights,
    "pytorch_model.bin": Buffer.from("pickle"),
    "1_Pooling/config.json": Buffer.from("{}"),
    "onnx/model.onnx": Buffer.from("onnx"),
    "onnx/model.onnx_data": Buffer.from("data"),
    "onnx/model_q4.onnx": Buffer.from("small"),
  },
  "datasets/acme/words": {
    "README.md": Buffer.from("# Words"),
    "data/train.jsonl": Buffer.from('{"text":"one"}\n{"text":"two"}\n'),
    "data/test.csv": Buffer.from("text\nthree\n"),
  },
  "models/acme/pickled": { "config.json": Buffer.from("{}"), "pytorch_model.bin": Buffer.from("pickle") },
  "models/acme/evil": { "../../escaped.json": Buffer.from("{}") },
};
const sha = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const gitName = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
const etagOf = (path: string, bytes: Buffer) => (path.endsWith(".safetensors") ? sha(bytes) : gitName(bytes));

let server: Server;
let requests: { url: string; token: string | undefined; range: string | undefined }[] = [];
let head = COMMIT;
let failure: "none" | "cut" | "damaged" = "none";
/** What an endpoint that is not to be trusted says in place of the truth. */
let lies: { sha?: string; oid?: string; size?: number } = {};

function answer(request: IncomingMessage, response: ServerResponse) {
  const url = new URL(request.url!, "http://hub");
  requests.push({ url: url.pathname, token: request.headers.authorization, range: request.headers.range });
  const send = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  const api = /^\/api\/((?:models|datasets)\/\w+\/\w+)\/(revision|tree)\/(\w+)$/.exec(url.pathname);
  if (api) {
    const files = repositories[api[1]!];
    if (!files || !["main", head].includes(api[3]!)) return send(404, { error: "Repository not found" });
    if (api[2] === "revision")
      return send(200, { _id: "1", id: api[1], sha: lies.sha ?? head, lastModified: "2025-01-01T00:00:00Z" });
    return send(
      200,
      Object.entries(files).map(([path, bytes]) => ({
        type: "file",
        path,
        size: lies.size ?? bytes.length,
        oid: lies.oid ?? gitName(bytes),
        ...(path.endsWith(".safetensors") && {
          lfs: { oid: sha(bytes), size: bytes.length, pointerSize: 1 },
        }),
      })),
    );
  }
  const resolve = /^\/(datasets\/)?(\w+\/\w+)\/resolve\/\w+\/(.+)$/.exec(url.pathname);
  const bytes = resolve && repositories[`${resolve[1] ?? "models/"}${resolve[2]}`]?.[resolve[3]!];
  if (!bytes) return send(404, { error: "Entry not found" });
  const headers = { etag: `"${etagOf(resolve[3]!, bytes)}"`, "content-type": "application/octet-stream" };
  if (request.headers.range === "bytes=0-0") {
    const range = `bytes 0-0/${bytes.length}`;
    return response.writeHead(206, { ...headers, "content-range": range }).end(bytes.subarray(0, 1));
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const part = first ? bytes.subarray(Number(first), Number(last) + 1) : bytes;
  const range = first && { "content-range": `bytes ${first}-${last}/${bytes.length}` };
  response.writeHead(range ? 206 : 200, { ...headers, "content-length": part.length, ...range });
  if (failure === "cut") return response.write(part.subarray(0, bytes.length / 2), () => response.destroy());
  return response.end(failure === "damaged" ? Buffer.alloc(part.length) : part);
}

let cacheDir: string;
let endpoint: string;

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), "hub-"));
  vi.stubEnv("HF_ENDPOINT", endpoint);
  vi.stubEnv("HF_HUB_CACHE", cacheDir);
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_HOME", join(cacheDir, "home"));
  requests = [];
  head = COMMIT;
  failure = "none";
  lies = {};
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cacheDir, { recursive: true });
});

test("a model's config and safetensors are downloaded into the layout that Python's cache has", async () => {
  const progress = new Map<string, [number, number]>();
  const folder = await resolveModel("acme/tiny", {
    onProgress: ({ file, receivedBytes, fileBytes }) => progress.set(file, [receivedBytes, fileBytes]),
  });
  const repository = join(cacheDir, "models--acme--tiny");
  expect(folder).toBe(join(repository, "snapshots", COMMIT));
  expect(readdirSync(folder).sort()).toEqual(["1_Pooling", "config.json", "model.safetensors"]);
  expect(readFileSync(join(repository, "refs", "main"), "utf8")).toBe(COMMIT);
  expect(readlinkSync(join(folder, "model.safetensors"))).toBe(`../../blobs/${sha(weights)}`);
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
  expect(readFileSync(join(folder, "1_Pooling", "config.json"), "utf8")).toBe("{}");
  expect(progress.get("model.safetensors")).toEqual([weights.length, weights.length]);
  expect(readdirSync(join(repository, "blobs")).length).toBe(3);
});

test("a second call makes no request, one for other files makes some", async () => {
  const first = await resolveModel("acme/tiny");
  requests = [];
  expect(await resolveModel("acme/tiny")).toBe(first);
  expect(await resolveModel("acme/tiny", { revision: COMMIT })).toBe(first);
  expect(requests).toEqual([]);
  await resolveModel("acme/tiny", { files: ["onnx/*"] });
  expect(readFileSync(join(first, "onnx", "model.onnx"), "utf8")).toBe("onnx");
  expect(requests.some(({ url }) => url.includes("model.safetensors"))).toBe(false);
});

test("a graph is fetched with the weights beside it, and without safetensors", async () => {
  const folder = await resolveModel("acme/tiny", { onnxFile: "onnx/model.onnx" });
  expect(readdirSync(folder).sort()).toEqual(["1_Pooling", "config.json", "onnx"]);
  expect(readdirSync(join(folder, "onnx")).sort()).toEqual(["model.onnx", "model.onnx_data"]);
  const absent =
    /acme\/tiny: expected onnx\/no.onnx in the repository, got no such file\n.*onnx\/model.onnx, onnx\/model_q4.onnx/;
  for (const _ of ["from the cache's list", "asked anew"]) {
    await expect(resolveModel("acme/tiny", { onnxFile: "onnx/no.onnx" })).rejects.toThrow(absent);
    rmSync(cacheDir, { recursive: true });
  }
  mkdirSync(cacheDir);
});

test("a moved branch is followed with refresh only, and blobs that did not change are not downloaded again", async () => {
  await resolveModel("acme/tiny");
  head = NEXT_COMMIT;
  expect(await resolveModel("acme/tiny")).toContain(COMMIT);
  requests = [];
  const folder = await resolveModel("acme/tiny", { refresh: true });
  expect(folder).toContain(NEXT_COMMIT);
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
  expect(requests.every(({ url }) => url.startsWith("/api/"))).toBe(true);
});

test("HF_TOKEN is sent with every request, and none without it", async () => {
  await resolveModel("acme/tiny", { files: ["config.json"] });
  expect(new Set(requests.map(({ token }) => token))).toEqual(new Set([undefined]));
  vi.stubEnv("HF_TOKEN", "hf_secret");
  requests = [];
  await resolveDataset("acme/words");
  expect(requests.length).toBeGreaterThan(4);
  expect(new Set(requests.map(({ token }) => token))).toEqual(new Set(["Bearer hf_secret"]));
});

test("a folder of this name wins without a request", async () => {
  const folder = join(cacheDir, "my-model");
  mkdirSync(folder);
  writeFileSync(join(folder, "b.txt"), "");
  expect(await resolveModel(folder)).toBe(folder);
  expect(await resolveDataset(folder)).toEqual([join(folder, "b.txt")]);
  expect(requests).toEqual([]);
});

test("a name that is nowhere is an error that says where was looked and keeps nothing", async () => {
  const failed = resolveModel("acme/absent");
  await expect(failed).rejects.toThrow(
    /acme\/absent: expected a folder or a model of the Hub \(revision main\), got neither/,
  );
  await expect(failed).rejects.toThrow(`at ${endpoint}: nothing of this name and revision`);
  await expect(failed).rejects.toThrow(cacheDir);
  await expect(resolveModel("acme/tiny", { revision: "nope" })).rejects.toThrow("revision nope");
  await expect(resolveModel("./absent/folder")).rejects.toThrow("got a path where there is no folder");
  await expect(resolveModel("acme/tiny", { files: ["*.gguf"] })).rejects.toThrow(
    "expected files that match *.gguf, got config.json",
  );
  expect(existsSync(join(cacheDir, "models--acme--absent"))).toBe(false);
});

test("offline, the cache serves what it has, and the error for what it has not says how to get it", async () => {
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  await expect(resolveModel("acme/tiny")).rejects.toThrow(
    "not on the Hub, since HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) or offline is set",
  );
  expect(requests).toEqual([]);
  const online = await resolveModel("acme/tiny", { offline: false, files: ["config.json"] });
  requests = [];
  expect(await resolveModel("acme/tiny")).toBe(online);
  expect(requests).toEqual([]);
});

test("a snapshot that Python made is used where the Hub cannot be reached", async () => {
  const repository = join(cacheDir, "models--acme--other");
  const snapshot = join(repository, "snapshots", COMMIT);
  mkdirSync(snapshot, { recursive: true });
  mkdirSync(join(repository, "refs"));
  writeFileSync(join(repository, "refs", "main"), COMMIT);
  writeFileSync(join(snapshot, "config.json"), "{}");
  vi.stubEnv("HF_ENDPOINT", "http://127.0.0.1:9");
  expect(await resolveModel("acme/other")).toBe(snapshot);
  await expect(resolveModel("acme/tiny")).rejects.toThrow("Check the network, HF_ENDPOINT and HF_TOKEN");
});

test("a damaged download leaves no file, and the next call mends it", async () => {
  failure = "damaged";
  await expect(resolveModel("acme/tiny", { files: ["model.safetensors"] })).rejects.toThrow(
    `acme/tiny: expected model.safetensors from ${endpoint}, got contents with another hash`,
  );
  await expect(resolveModel("acme/tiny", { files: ["config.json"] })).rejects.toThrow("contents with another hash");
  const repository = join(cacheDir, "models--acme--tiny");
  expect(readdirSync(join(repository, "blobs"))).toEqual([]);
  expect(existsSync(join(repository, "snapshots"))).toBe(false);
  failure = "none";
  const folder = await resolveModel("acme/tiny", { files: ["model.safetensors"] });
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
});

test("a download that was cut leaves no file under a final name, and the next call asks for the rest only", async () => {
  failure = "cut";
  await expect(resolveModel("acme/tiny", { files: ["model.safetensors"] })).rejects.toThrow("goes on where it stopped");
  const blobs = join(cacheDir, "models--acme--tiny", "blobs");
  const [unfinished] = readdirSync(blobs);
  expect(unfinished).toMatch(/\.incomplete$/);
  const held = readFileSync(join(blobs, unfinished!)).length;
  expect(held).toBeGreaterThan(0);
  expect(existsSync(join(cacheDir, "models--acme--tiny", "snapshots"))).toBe(false);
  [failure, requests] = ["none", []];
  const received: number[] = [];
  const folder = await resolveModel("acme/tiny", {
    files: ["model.safetensors"],
    onProgress: ({ receivedBytes }) => received.push(receivedBytes),
  });
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
  expect(requests.map(({ range }) => range)).toContain(`bytes=${held}-${weights.length - 1}`);
  expect(requests.some(({ url, range }) => url.includes("/resolve/") && range === undefined)).toBe(false);
  expect([received[0], received.at(-1)]).toEqual([held, weights.length]);
  expect(readdirSync(blobs)).toEqual([sha(weights)]);
});

test("what another living process is downloading is left to it", async () => {
  const blobs = join(cacheDir, "models--acme--tiny", "blobs");
  mkdirSync(blobs, { recursive: true });
  const theirs = `${sha(weights)}.${process.ppid}-00000000.incomplete`;
  writeFileSync(join(blobs, theirs), "half");
  await resolveModel("acme/tiny", { files: ["model.safetensors"] });
  expect(readdirSync(blobs).sort()).toEqual([sha(weights), theirs].sort());
});

test("a model with pickled weights only is refused, saying how to have it converted", async () => {
  await expect(resolveModel("acme/pickled")).rejects.toThrow(
    /acme\/pickled: expected model.safetensors, got pytorch_model.bin.*\nThe Hub converts it/,
  );
  expect(requests.every(({ url }) => url.startsWith("/api/"))).toBe(true);
});

test("an aborted call stops, and leaves nothing under a final name", async () => {
  const controller = new AbortController();
  const stopped = resolveModel("acme/tiny", { signal: controller.signal, onProgress: () => controller.abort() });
  await expect(stopped).rejects.toThrow(/abort/i);
  const kept = readdirSync(join(cacheDir, "models--acme--tiny", "blobs"));
  expect(kept.filter((name) => name === sha(weights))).toEqual([]);
});

test("a path that leads out of the cache is refused", async () => {
  await expect(resolveModel("acme/evil", { files: ["**"] })).rejects.toThrow('got "../../escaped.json"');
  expect(existsSync(join(cacheDir, "..", "escaped.json"))).toBe(false);
});

test("commits, hashes and sizes that an endpoint makes up are refused, and nothing outside the cache is touched", async () => {
  const repository = join(cacheDir, "models--acme--tiny");
  const victim = join(cacheDir, "victim");
  mkdirSync(victim);
  writeFileSync(join(victim, "config.json"), "precious");
  const all: (typeof lies)[] = [
    { sha: "../../../victim" },
    { sha: "../../victim" },
    { sha: "main" },
    { sha: `${COMMIT}/../../../victim` },
    { oid: "../../victim/config.json" },
    { oid: "" },
    { size: -1 },
  ];
  for (const lie of all) {
    lies = lie;
    await expect(resolveModel("acme/tiny", { refresh: true }), JSON.stringify(lie)).rejects.toThrow(
      /acme\/tiny: expected .* from the Hub, got .*\nDo not trust it/,
    );
    expect(readFileSync(join(victim, "config.json"), "utf8")).toBe("precious");
    expect(existsSync(repository)).toBe(false);
  }
  lies = { sha: NEXT_COMMIT };
  await expect(resolveModel("acme/tiny", { revision: COMMIT })).rejects.toThrow(`expected commit ${COMMIT}`);
});

test("a file that never ends is cut at the size that the Hub lists", async () => {
  lies = { size: 10 };
  const [blobs, options] = [join(cacheDir, "models--acme--tiny", "blobs"), { files: ["onnx/*", "model.safetensors"] }];
  await expect(resolveModel("acme/tiny", options)).rejects.toThrow(/got \d+ bytes instead of 10/);
  expect(readdirSync(blobs)).toEqual([]);
});

test("a revision is what Git allows as one, and leads nowhere else", async () => {
  writeFileSync(join(cacheDir, "commit"), COMMIT);
  const wrong = [
    "../../commit",
    "..",
    "/etc/passwd",
    "a..b",
    "a b",
    "a~1",
    "a.lock",
    ".a",
    "a/",
    "@",
    "",
    "-a",
    "a\\b",
    "x@{1}",
  ];
  for (const revision of wrong) {
    await expect(resolveModel("acme/tiny", { revision }), revision).rejects.toThrow("expected revision to be a branch");
  }
  expect(requests).toEqual([]);
  await expect(resolveModel("acme/tiny", { revision: "refs/pr/1" })).rejects.toThrow(
    "nothing of this name and revision",
  );
});

test("the token that a login left is sent, HF_TOKEN before it, and none where implicit tokens are refused", async () => {
  const sent = async () => {
    requests = [];
    await resolveModel("acme/tiny", { files: ["config.json"], refresh: true });
    return [...new Set(requests.map(({ token }) => token))];
  };
  const home = join(cacheDir, "home");
  mkdirSync(home);
  writeFileSync(join(home, "token"), "hf_login\n");
  writeFileSync(join(home, "other"), "own-server-token");
  expect(await sent()).toEqual(["Bearer hf_login"]);
  vi.stubEnv("HOME", cacheDir);
  vi.stubEnv("HF_HOME", "~/home");
  expect(await sent()).toEqual(["Bearer hf_login"]);
  vi.stubEnv("PLACE", home);
  vi.stubEnv("HF_TOKEN_PATH", "$PLACE/other");
  expect(await sent()).toEqual(["Bearer own-server-token"]);
  vi.stubEnv("HF_TOKEN", "hf_named");
  expect(await sent()).toEqual(["Bearer hf_named"]);
  vi.stubEnv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1");
  expect(await sent()).toEqual([undefined]);
});

test("a token is not sent to where the Hub sends a download on", async () => {
  const elsewhere: (string | undefined)[] = [];
  const storage = createServer((request, response) => {
    elsewhere.push(request.headers.authorization);
    response.writeHead(206, { "content-range": `bytes 0-0/${weights.length}`, etag: `"${sha(weights)}"` }).end("w");
  });
  await new Promise<void>((resolve) => storage.listen(0, "127.0.0.1", resolve));
  const address = `http://localhost:${(storage.address() as AddressInfo).port}/`;
  vi.stubEnv("HF_TOKEN", "hf_secret");
  const send = await hubFetch(endpoint);
  await send(`${endpoint}/acme/tiny/resolve/main/config.json`);
  await send(address);
  storage.close();
  storage.closeAllConnections();
  expect([requests.map(({ token }) => token), elsewhere]).toEqual([["Bearer hf_secret"], [undefined]]);
});

test("the cache lies where the variables say, with ~ and $NAME written out", () => {
  const env = { HOME: "/ignored", USERS: "/users" };
  expect(hubCachePath({ ...env, HF_HOME: "~/x" })).toBe(join(homedir(), "x", "hub"));
  expect(hubCachePath({ ...env, HF_HOME: "/x", HF_HUB_CACHE: ["$", "{USERS}/me"].join("") })).toBe("/users/me");
  expect(hubCachePath({ ...env, XDG_CACHE_HOME: "$USERS/cache" })).toBe("/users/cache/huggingface/hub");
  expect(hubCachePath({ ...env, HF_HUB_CACHE: "/a~b/$ABSENT" })).toBe("/a~b/$ABSENT");
  expect(hubCachePath({})).toBe(join(homedir(), ".cache", "huggingface", "hub"));
});

test("addresses in the environment that are none are told by their variables", async () => {
  vi.stubEnv("HF_ENDPOINT", "127.0.0.1:8080");
  await expect(resolveModel("acme/tiny")).rejects.toThrow(
    /^HF_ENDPOINT: expected an address .* got "127.0.0.1:8080"\n/,
  );
  vi.stubEnv("HF_ENDPOINT", endpoint);
  vi.stubEnv("https_proxy", "socks5://127.0.0.1:9");
  await expect(resolveModel("acme/tiny")).rejects.toThrow(/^HTTPS_PROXY: expected the address of a proxy.*\nCorrect/);
});

test("requests go through the proxy that the environment names, but for the hosts of NO_PROXY", async () => {
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url!);
    answer(Object.assign(request, { url: new URL(request.url!, endpoint).pathname }), response);
  });
  proxy.on("connect", (request, socket) => {
    asked.push(request.url!);
    const { hostname, port } = new URL(`http://${request.url}`);
    const there = connect(Number(port), hostname, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      there.pipe(socket).pipe(there);
    });
    there.on("error", () => socket.destroy());
    socket.on("error", () => there.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  // As with curl and Python, the scheme may be left out.
  vi.stubEnv("http_proxy", `127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  vi.stubEnv("no_proxy", "");
  vi.stubEnv("NO_PROXY", "");
  const folder = await resolveModel("acme/tiny", { files: ["model.safetensors"] });
  expect(readFileSync(join(folder, "model.safetensors")).equals(weights)).toBe(true);
  expect(asked.length).toBeGreaterThan(0);
  asked.length = 0;
  vi.stubEnv("no_proxy", "127.0.0.1");
  await resolveModel("acme/tiny", { files: ["config.json"], refresh: true });
  expect(asked).toEqual([]);
  proxy.close();
  proxy.closeAllConnections();
});

test("a user who may write nowhere gets the vector from a cache that holds the model, with the Hub at hand or not", async () => {
  const model = await writeSmallModel();
  const snapshot = join(cacheDir, "models--acme--held", "snapshots", COMMIT);
  mkdirSync(join(cacheDir, "models--acme--held", "refs"), { recursive: true });
  writeFileSync(join(cacheDir, "models--acme--held", "refs", "main"), COMMIT);
  cpSync(model, snapshot, { recursive: true });
  repositories["models/acme/held"] = Object.fromEntries(
    readdirSync(model).map((name) => [name, readFileSync(join(model, name))]),
  );
  const home = mkdtempSync(join(tmpdir(), "home-"));
  const temporary = mkdtempSync(join(tmpdir(), "temporary-"));
  execFileSync("chmod", ["-R", "a-w,a+rX", cacheDir, home]);
  execFileSync("chmod", ["a+rwx", temporary]);
  const index = JSON.stringify(fileURLToPath(new URL("../../dist/index.js", import.meta.url)));
  const script = `import { Encoder } from ${index};
    const encoder = await Encoder.load("acme/held", { engine: "onnx" });
    console.log(JSON.stringify([...(await encoder.encode("the house"))]));
    await encoder.dispose();`;
  const run = async (variables: Record<string, string>) => {
    requests = [];
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...process.env, HOME: home, XDG_CACHE_HOME: "", NEOBERT_CACHE: "", TMPDIR: temporary, ...variables },
      ...(process.getuid?.() === 0 && { uid: 65534, gid: 65534 }),
    });
    return { vector: JSON.parse(stdout), asked: requests.length };
  };
  try {
    const encoder = await Encoder.load(model, { engine: "onnx" });
    const vector = [...(await encoder.encode("the house"))];
    await encoder.dispose();
    expect(await run({})).toEqual({ vector, asked: 2 });
    expect(await run({ HF_ENDPOINT: "http://127.0.0.1:9" })).toEqual({ vector, asked: 0 });
    expect(await run({ TRANSFORMERS_OFFLINE: "1" })).toEqual({ vector, asked: 0 });
    expect(await run({ HF_HUB_OFFLINE: "1" })).toEqual({ vector, asked: 0 });
    expect(readdirSync(temporary)).toEqual([]);
  } finally {
    execFileSync("chmod", ["-R", "u+w", cacheDir, home]);
  }
});

test("documents are read from a data set of the Hub, all of it or by pattern and revision", async () => {
  const read = async (source: string) => {
    const texts: string[] = [];
    for await (const { text } of readDocuments(source)) texts.push(text);
    return texts;
  };
  expect(await read("hf://datasets/acme/words")).toEqual(["three", "one", "two"]);
  expect(await read(`hf://datasets/acme/words@${COMMIT}/data/*.jsonl`)).toEqual(["one", "two"]);
  expect((await resolveDataset("acme/words")).map((path) => basename(path))).toEqual([
    "README.md",
    "test.csv",
    "train.jsonl",
  ]);
  await expect(read("hf://datasets/words")).rejects.toThrow("expected hf://datasets/OWNER/NAME");
});

test("a part of a data set lists all its files, and downloads its own alone; parts agree in the listing", async () => {
  const [csv, jsonl] = ["data/test.csv", "data/train.jsonl"].map(
    (path) => `/datasets/acme/words/resolve/${COMMIT}/${path}`,
  );
  const partOf = (number: number) => fetchPart("hf://datasets/acme/words", { number, of: 2 });
  const first = await partOf(1);
  expect(first.files.map((path) => basename(path))).toEqual(["test.csv"]);
  expect(requests.map(({ url }) => url)).toContain(csv);
  expect(requests.map(({ url }) => url)).not.toContain(jsonl);
  const second = await partOf(2);
  expect(second.files.map((path) => basename(path))).toEqual(["train.jsonl"]);
  expect([first.firstFile, second.firstFile]).toEqual([0, 1]);
  expect(second.listing).toBe(first.listing);
  await expect(fetchPart("hf://datasets/acme/words", { number: 1, of: 3 })).rejects.toThrow(
    "got 2 files for 3 parts\n",
  );
});

test("files may be chosen by a function of the repository's paths, which is asked of what the cache holds too", async () => {
  const asked: string[][] = [];
  const files = (paths: string[]) => {
    asked.push(paths);
    return paths.filter((path) => path.endsWith(".csv"));
  };
  const [file] = await resolveDataset("acme/words", { files });
  expect(readFileSync(file!, "utf8")).toBe("text\nthree\n");
  expect(asked.at(-1)!.sort()).toEqual(["README.md", "data/test.csv", "data/train.jsonl"]);
  requests = [];
  expect(await resolveDataset("acme/words", { files })).toEqual([file]);
  expect(requests).toEqual([]);
  await expect(resolveDataset("acme/words", { files: () => [] })).rejects.toThrow(
    "expected files that match what is asked for, got README.md, data/train.jsonl, data/test.csv",
  );
});
