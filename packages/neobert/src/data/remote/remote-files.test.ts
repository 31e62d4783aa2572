import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openAddress } from "../../hub/address.js";
import { createBatches } from "../batches.js";
import { evaluationBatches } from "../evaluation.js";
import { countingDocuments, writeFixtureShards } from "../fixture-data.js";
import { prefetchBatches } from "../prefetch.js";
import { preparedTokenizer } from "../prepare/prepare.js";
import { randomBelow } from "../random.js";
import { openShards } from "../shards.js";
import { commit, type FixtureServer, type SeenRequest, serveFolder } from "./fixture-server.js";
import { RangeClient } from "./range-client.js";
import { remoteCache } from "./remote-files.js";

const root = mkdtempSync(join(tmpdir(), "neobert-remote-"));
const before = { ...process.env };
// 6 MB of tokens in 8 shards: three times the smallest cache.
const lengths = Array.from({ length: 1600 }, (_, document) => 500 + randomBelow(2800, 1, 1, document));
const documents = countingDocuments(lengths);
let local: string;
let server: FixtureServer;

beforeAll(async () => {
  Object.assign(process.env, { NEOBERT_CACHE: join(root, "cache"), HF_TOKEN: "secret" });
  local = join(root, "data", "train");
  mkdirSync(join(root, "data", "tokenizer"), { recursive: true });
  const written = writeFixtureShards(documents, { documentsPerShard: 200 });
  cpSync(written, local, { recursive: true });
  rmSync(written, { recursive: true });
  writeFileSync(join(root, "data", "tokenizer", "tokenizer.json"), "{}");
  server = await serveFolder(join(root, "data"));
  process.env.HF_ENDPOINT = server.url;
});
afterEach(async () => {
  server.behave("well");
  await server.seen();
  rmSync(remoteCache(), { recursive: true, force: true });
});
afterAll(async () => {
  await server.close();
  process.env = before;
  rmSync(root, { recursive: true });
});

const optionsOf = (path: string) => ({
  sources: [{ path, weight: 1 }],
  maxLength: 256,
  tokensPerStep: 8192,
  microBatchTokens: 4096,
  seed: 3,
});

function stepsOf(path: string, steps = 12, more = {}) {
  const batches = createBatches({ ...optionsOf(path), ...more });
  const taken = Array.from({ length: steps }, () => batches.nextStep());
  batches.close();
  return taken;
}

const tokenRequests = (seen: SeenRequest[]) => seen.filter(({ path }) => path.includes("tokens-"));

test("batches of an address are those of the folder, and ask for the blocks of their own pieces alone", async () => {
  const expected = stepsOf(local);
  expect(stepsOf(`${server.url}/train`)).toEqual(expected);
  const seen = await server.seen();
  expect(seen.filter(({ path }) => path.endsWith("manifest.json"))).toHaveLength(1);
  expect(seen.filter(({ path }) => path.includes("offsets-"))).toHaveLength(8);
  const pieces = expected
    .flatMap(({ microBatches }) => microBatches)
    .reduce((sum, { pieces }) => sum + pieces.length / 3, 0);
  expect(tokenRequests(seen).length).toBeLessThan(1.05 * pieces); // a piece of 500 bytes seldom lies in two blocks of 32 KiB
  expect(new Set(tokenRequests(seen).map(({ path, range }) => `${path} ${range}`)).size).toBe(
    tokenRequests(seen).length,
  );
  expect(seen.every(({ token }) => token === "Bearer secret")).toBe(true); // the Hub's own address here

  // Offsets stay for the next one to open the same data; an evaluation is the same too.
  const options = { tokens: 5000, seed: 1, maxLength: 256, microBatchTokens: 1024 };
  expect(evaluationBatches(`${server.url}/train/`, options)).toEqual(evaluationBatches(local, options));
  expect((await server.seen()).filter(({ path }) => path.includes("offsets-"))).toHaveLength(0);
});

test("the steps that a worker makes are the same", async () => {
  const expected = stepsOf(local, 3);
  const steps = prefetchBatches(optionsOf(`${server.url}/train`));
  for (const step of expected) {
    const { waitMs: _, ...got } = (await steps.next()).value;
    expect(got).toEqual(step);
  }
  await steps.return(undefined as never);
});

test("the cache keeps to its bytes, and what it has lost is fetched again", async () => {
  const shards = openShards(`${server.url}/train`, { cacheBytes: 1 });
  const order = Array.from({ length: 600 }, (_, draw) => randomBelow(documents.length, 5, 1, draw));
  for (const document of order) expect([...shards.document(document)]).toEqual(documents[document]);
  if (process.platform === "linux") {
    const files = readdirSync("/proc/self/fd").flatMap(
      (fd) => statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false }) ?? [],
    );
    const sizes = files.filter((stat) => stat.isFile() && stat.nlink === 0).map(({ size }) => size);
    expect(Math.max(...sizes)).toBe(64 * 32_768);
  }
  shards.close();
  const requests = tokenRequests(await server.seen());
  expect(requests.length).toBeGreaterThan(new Set(requests.map(({ path, range }) => `${path} ${range}`)).size);
  expect(readdirSync(remoteCache()).filter((name) => name.endsWith(".tmp"))).toEqual([]); // nothing is left behind
});

test("all pieces of a step are under way at once", () => {
  server.behave("slow");
  const shards = openShards(`${server.url}/train`);
  const some = Array.from({ length: 64 }, (_, draw) => randomBelow(documents.length, 6, 1, draw));
  shards.lengths(0, documents.length);
  const start = performance.now();
  for (const document of some) shards.prefetch(document, 0, 100);
  for (const document of some) expect([...shards.read(document, 0, 100)]).toEqual(documents[document]!.slice(0, 100));
  expect(performance.now() - start).toBeLessThan((64 * 40) / 2); // one after another: 64 x 40 ms
  shards.close();
});

test("connections that are cut and servers that are busy change nothing", () => {
  const expected = stepsOf(local, 2);
  for (const behaviour of ["cut", "busy"] as const) {
    server.behave(behaviour);
    expect(stepsOf(`${server.url}/train`, 2)).toEqual(expected);
  }
});

test("a data set of the Hub is read at one commit; its storage gets no token, and is asked for anew when it has expired", async () => {
  server.behave("expiring");
  expect(stepsOf("hf://datasets/acme/words/train", 3)).toEqual(stepsOf(local, 3));
  const seen = await server.seen();
  const [hub, storage] = [
    seen.filter(({ path }) => path.includes("/resolve/")),
    seen.filter(({ path }) => path.startsWith("/storage/")),
  ];
  expect(
    hub.every(
      ({ path, token }) => path.startsWith(`/datasets/acme/words/resolve/${commit}/`) && token === "Bearer secret",
    ),
  ).toBe(true);
  expect(storage.length).toBeGreaterThan(hub.length);
  expect(storage.every(({ token }) => token === undefined)).toBe(true);
  expect(() => openShards("hf://datasets/acme/none/train")).toThrow(
    /hf:\/\/datasets\/acme\/none\/train: expected a data set \(revision main\) at http.*\nCheck the name/,
  );
  expect(() => openShards("hf://datasets/words")).toThrow("expected hf://datasets/OWNER/NAME[@REVISION]/FOLDER");
  process.env.HF_HUB_OFFLINE = "1";
  try {
    expect(() => openShards("hf://datasets/acme/words/train")).toThrow("expected a local folder, since HF_HUB_OFFLINE");
  } finally {
    delete process.env.HF_HUB_OFFLINE;
  }
});

test("a server that gives no ranges, or others than it was asked for, is refused with the file's name", () => {
  const address = `${server.url}/train`;
  const refusals = {
    whole: "expected a server that gives ranges of files (status 206), got status 200\nDownload the folder",
    larger: /expected content-range bytes \d+-\d+\/(\d+), got bytes \d+-\d+\/(?!\1)\d+\nThe folder is not whole/,
    shifted: /expected content-range bytes (\d+)-\d+\/\d+, got bytes (?!\1)\d+-\d+\/\d+\nThe folder is not whole/,
    endless: /expected at most \d+ bytes, got more\n/,
  } as const;
  for (const [behaviour, message] of Object.entries(refusals)) {
    const shards = openShards(address);
    shards.lengths(0, 1);
    server.behave(behaviour as keyof typeof refusals);
    expect(() => shards.document(3)).toThrow(message);
    expect(() => shards.document(3)).toThrow(`${address}/tokens-00000.bin: expected `);
    server.behave("well"); // a refusal is not remembered
    expect([...shards.document(3)]).toEqual(documents[3]);
    shards.close();
  }
});

test("an answer that is always too short, or never comes, is an error after some attempts", async () => {
  const address = `${server.url}/train`;
  const client = new RangeClient(address, await openAddress(address), 3);
  const { size } = statSync(join(local, "tokens-00000.bin"));
  const read = () => client.range("tokens-00000.bin", size, 64, 1000);
  const start = `${address}/tokens-00000.bin: expected an answer in 3 attempts, got`;
  server.behave("short");
  await expect(read()).rejects.toThrow(`${start} 999 bytes instead of 1000\nCheck the network`);
  server.behave("dead");
  await expect(read()).rejects.toThrow(`${start} other side closed\n`);
  server.behave("well");
  expect((await read()).length).toBe(1000);
});

test("a folder without a manifest, and one that lacks a file, are named", () => {
  expect(() => openShards(server.url)).toThrow(
    `expected manifest.json at ${server.url}, got no such file\nName a folder`,
  );
  const lacking = join(root, "data", "lacking");
  mkdirSync(lacking);
  cpSync(join(local, "manifest.json"), join(lacking, "manifest.json"));
  const shards = openShards(`${server.url}/lacking`);
  expect(() => shards.lengths(0, 1)).toThrow(
    `${server.url}/lacking/offsets-00000.bin: expected the file, got status 404\n`,
  );
  shards.close();
});

test("the tokenizer beside shards at an address is fetched into a folder", () => {
  const folder = preparedTokenizer(`${server.url}/train`);
  expect(readdirSync(folder)).toEqual(["tokenizer.json"]);
  expect(() => preparedTokenizer(`${server.url}/train/deeper`)).toThrow(
    "expected tokenizer/tokenizer.json there or beside it",
  );
});
