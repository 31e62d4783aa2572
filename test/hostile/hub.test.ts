// A Hub that means harm: listings with names that lead elsewhere, that collide, or that are no listings; downloads that are
// sent on to file: URLs, to other contents, round in circles, or that stop in the middle. Whatever it answers, nothing outside
// the cache is written, and what is read outside of it never comes in.

import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { resolveDataset, resolveModel } from "../../packages/neobert/src/hub/resolve.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const rows = Buffer.from('{"text":"one"}\n');
const config = Buffer.from('{"model_type":"bert"}');
const gitName = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

/** Paths of the repository, and how a file of it is answered where that is not with its bytes. */
let files: Record<string, Buffer> = {};
let listing: unknown;
let onFile: ((response: ServerResponse, path: string) => void) | undefined;

let server: Server;
let root: string;
let cache: string;
const SECRET = "what nobody outside may see";

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://hub");
    const send = (json: unknown) =>
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(json));
    if (pathname.includes("/revision/")) return send({ _id: "1", id: "acme/a", sha: COMMIT, lastModified: "2025" });
    if (pathname.includes("/tree/")) return send(listing ?? Object.entries(files).map(entry));
    const path = decodeURIComponent(pathname.split(`/resolve/${COMMIT}/`)[1] ?? "");
    const bytes = files[path];
    if (onFile && path !== "README.md") return onFile(response, path);
    if (!bytes) return response.writeHead(404).end();
    response.writeHead(200, { etag: `"${gitName(bytes)}"`, "content-length": bytes.length }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const entry = ([path, bytes]: [string, Buffer]) => ({ type: "file", path, size: bytes.length, oid: gitName(bytes) });

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hostile-hub-"));
  cache = join(root, "cache");
  mkdirSync(cache);
  mkdirSync(join(root, "outside"));
  writeFileSync(join(root, "outside", "config.json"), SECRET);
  for (const [name, value] of Object.entries({ HF_ENDPOINT: address(), HF_HUB_CACHE: cache, HF_HOME: cache })) {
    vi.stubEnv(name, value);
  }
  for (const name of ["HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy"]) vi.stubEnv(name, "");
  files = {};
  listing = undefined;
  onFile = undefined;
});
afterEach(() => {
  vi.unstubAllEnvs();
  // The folder beside the cache holds what it held, and the cache nothing of it.
  expect(readdirSync(root).sort()).toEqual(["cache", "outside"]);
  expect(readdirSync(join(root, "outside"))).toEqual(["config.json"]);
  expect(readFileSync(join(root, "outside", "config.json"), "utf8")).toBe(SECRET);
  for (const path of readdirSync(cache, { recursive: true, encoding: "utf8" })) {
    const whole = join(cache, path);
    if (statSync(whole, { throwIfNoEntry: false })?.isFile()) expect(readFileSync(whole, "utf8")).not.toContain(SECRET);
  }
  rmSync(root, { recursive: true });
});

/** The message of a refusal; ours, and within a minute. */
async function refusal(result: Promise<unknown>): Promise<string> {
  const error = await result.then(
    (value) => new Error(`it was taken: ${JSON.stringify(value)}`),
    (error: Error) => error,
  );
  expect(error.message).toMatch(/expected [\s\S]*got\b/);
  expect(error.message.length).toBeLessThan(6000);
  return error.message;
}
const fetchAll = () => resolveDataset("acme/a", { files: (paths) => paths });

test.each([
  "../../outside/config.json",
  "data/../../../../../outside/config.json",
  "/etc/passwd",
  "..",
  "data/..",
  "..\\..\\outside\\config.json",
  "C:\\outside\\config.json",
  "data//../x.jsonl",
  "./x.jsonl",
  "data/\u0000x.jsonl",
  "",
])("a data set that lists the file %j", async (path) => {
  files = { "README.md": rows, [path]: rows };
  await refusal(fetchAll());
});

test("listings that are no listings", async () => {
  for (const wrong of [
    null,
    5,
    {},
    [null],
    [[]],
    [{ type: "file" }],
    [{ type: "file", path: { toString: 1 }, size: 1, oid: gitName(rows) }],
    [{ type: "file", path: "a.jsonl", size: "1", oid: gitName(rows) }],
    [{ type: "file", path: "a.jsonl", size: 1, oid: { length: 40 } }],
    [
      {
        type: "file",
        path: "a.jsonl",
        size: 15,
        oid: gitName(rows),
        lfs: { oid: "../../outside/config.json", size: 15 },
      },
    ],
    [{ type: "file", path: "x".repeat(100_000), size: -1, oid: gitName(rows) }],
  ]) {
    listing = wrong;
    await refusal(fetchAll());
  }
});

test("a file and a folder of one name", async () => {
  files = { "a.jsonl": rows, "a.jsonl/b.jsonl": rows };
  await refusal(fetchAll());
});

test("a repository beside whose files a link leads outside", async () => {
  files = { "config.json": config, "linked/config.json": config };
  const snapshot = join(cache, "models--acme--a", "snapshots", COMMIT);
  mkdirSync(snapshot, { recursive: true });
  symlinkSync(join(root, "outside"), join(snapshot, "linked"));
  await resolveModel("acme/a", { files: ["**"] }).catch(() => {});
  expect(readFileSync(join(root, "outside", "config.json"), "utf8")).toBe(SECRET);
  rmSync(join(snapshot, "linked"));
});

test.each([
  ["a file", () => `file://${join(root, "outside", "config.json")}`],
  ["another scheme", () => "data:application/json,{}"],
  ["contents that are others", () => `${address()}/elsewhere`],
  ["itself", (path: string) => `${address()}/acme/a/resolve/${COMMIT}/${path}`],
  ["nowhere", () => "http://127.0.0.1:9/"],
])("a download that is sent on to %s", { timeout: 60_000 }, async (_, target) => {
  files = { "config.json": config };
  onFile = (response, path) =>
    path === "" ? response.end("others") : response.writeHead(302, { location: target(path) }).end();
  await refusal(resolveModel("acme/a", { files: ["config.json"] }));
});

test("a download that stops in the middle, without a word of its length", { timeout: 60_000 }, async () => {
  files = { "config.json": config };
  onFile = (response) => {
    response.writeHead(200, { etag: `"${gitName(config)}"` });
    response.write(config.subarray(0, 5), () => response.destroy());
  };
  await refusal(resolveModel("acme/a", { files: ["config.json"] }));
});
