// The server over real connections: limits against slow clients, clients that go, the drain, and the program with its
// signals.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Encoder } from "../encoder/encoder.js";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { type RunningServer, type ServerOptions, serve } from "./index.js";

const BIN = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));
const bulk = Array.from({ length: 2000 }, (_, seed) => wordsText(60, seed));
const place = mkdtempSync(join(tmpdir(), "neobert-serve-"));

let folder: string;
let encoder: Encoder;
const running: RunningServer[] = [];

beforeAll(async () => {
  folder = await writeSmallModel();
  encoder = await Encoder.load(folder, { threads: 1 });
}, 120_000);
afterAll(async () => {
  await Promise.all(running.map((server) => server.close()));
  await encoder?.dispose();
  rmSync(place, { recursive: true });
}, 120_000);

async function start(options: ServerOptions = {}): Promise<RunningServer> {
  const server = await serve([{ name: "embed", encoder }], { port: 0, drainTimeoutMs: 20_000, ...options });
  running.push(server);
  return server;
}

function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const headers = { "content-type": "application/json", ...init.headers };
  return fetch(url, { method: "POST", ...init, headers, body: JSON.stringify(body) });
}

async function inFlight({ url }: RunningServer): Promise<number> {
  const page = await (await fetch(`${url}/metrics`)).text();
  return Number(/^neobert_requests_in_flight (\d+)$/m.exec(page)![1]) - 1; // without this one
}

async function until(isTrue: () => boolean | Promise<boolean>, most = 10_000): Promise<void> {
  const end = performance.now() + most;
  while (!(await isTrue())) {
    if (performance.now() > end) throw new Error(`expected it within ${most} ms`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What a server says to bytes on a connection of their own, until it closes; `ends`: nothing more will come. */
async function said(url: string, bytes: string, ends = false): Promise<{ text: string; ms: number }> {
  const start = performance.now();
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  if (ends) socket.end(bytes);
  else socket.write(bytes);
  await once(socket, "close");
  return { text, ms: performance.now() - start };
}

test("listens on this machine alone, and gives many clients at once their own vectors", async () => {
  const server = await start();
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const texts = Array.from({ length: 30 }, (_, i) => wordsText(3 + i, i));
  const expected = await encoder.encode(texts, { normalize: true });
  const answers = await Promise.all(
    texts.map(async (inputs) => (await post(`${server.url}/embed`, { inputs })).json()),
  );
  for (const [i, [row]] of (answers as number[][][]).entries()) {
    const own = expected.row(i);
    expect(Math.max(...row!.map((value, j) => Math.abs(value - own[j]!)))).toBeLessThan(1e-6);
  }
  const head = await fetch(`${server.url}/health`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
});

test("a body over the limit is answered 413 while it is still being sent, whether its length is told or not", async () => {
  const { url } = await start({ payloadLimit: 10_000 });
  const large = { inputs: "a".repeat(200_000) };
  expect((await post(`${url}/embed`, large)).status).toBe(413);
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(JSON.stringify(large)));
      controller.close();
    },
  });
  const streamed = await fetch(`${url}/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    duplex: "half",
  } as RequestInit);
  expect(streamed.status).toBe(413);
  expect((await post(`${url}/embed`, { inputs: "law" })).status).toBe(200);
});

test("a client that is slow with its head or body is sent away, and leaves nothing behind", async () => {
  const server = await start({ headersTimeoutMs: 300, requestTimeoutMs: 600 });
  const head = "POST /embed HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
  const [slowHead, slowBody, silent] = await Promise.all([
    said(server.url, head),
    said(server.url, `${head}content-length: 100\r\n\r\n{"inputs":`),
    said(server.url, ""),
  ]);
  expect(slowHead.text).toMatch(/^HTTP\/1.1 408 /);
  expect(slowBody.text).toMatch(/^HTTP\/1.1 408 /);
  for (const { ms } of [slowHead, slowBody, silent]) expect(ms).toBeLessThan(8000);
  await until(async () => (await inFlight(server)) === 0);
});

test("what is no HTTP, and a request for the whole address, are answered as such", async () => {
  const { url } = await start();
  expect((await said(url, "no request\r\n\r\n")).text).toMatch(/^HTTP\/1.1 400 /);
  const whole = `GET ${url}/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`;
  expect((await said(url, whole)).text).toMatch(/^HTTP\/1.1 200 /);
  const trace = "TRACE /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
  expect((await said(url, trace)).text).toMatch(/^HTTP\/1.1 400 /);
});

test("a client that hangs up takes its waiting texts with it", async () => {
  const server = await start();
  const gone = new AbortController();
  const asked = post(`${server.url}/embed`, { inputs: bulk }, { signal: gone.signal }).catch((error) => error);
  await until(() => encoder.waitingTokens > 0);
  gone.abort();
  expect((await asked).name).toBe("AbortError");
  await until(() => encoder.waitingTokens === 0, 2000);
  await until(async () => (await inFlight(server)) === 0);
});

test("a hundred aborted requests leave no request and no token behind", async () => {
  const server = await start({ maxConcurrentRequests: 64 });
  for (let round = 0; round < 5; round++) {
    const gone = new AbortController();
    const asked = Array.from({ length: 20 }, (_, i) =>
      post(`${server.url}/embed`, { inputs: bulk.slice(i, i + 50) }, { signal: gone.signal }).then(
        (response) => response.text(),
        () => {},
      ),
    );
    setTimeout(() => gone.abort(), 5 * round);
    await Promise.allSettled(asked);
  }
  await until(async () => (await inFlight(server)) === 0);
  expect(encoder.waitingTokens).toBe(0);
  expect((await post(`${server.url}/embed`, { inputs: "law" })).status).toBe(200);
});

test("many requests of 2,048 texts at once wait for their turn and are answered, a single query among them", async () => {
  const server = await start();
  const texts = Array.from({ length: 2048 }, (_, i) => wordsText(1 + (i % 7), i));
  const begun = Array.from({ length: 8 }, () => post(`${server.url}/v1/embeddings`, { input: texts }));
  await until(() => encoder.waitingTokens > 0);
  const single = Array.from({ length: 30 }, (_, i) => post(`${server.url}/embed`, { inputs: texts[i] }));
  const rows = await Promise.all(single.map(async (answer) => (await answer).json() as Promise<number[][]>));
  const expected = await encoder.encode(texts.slice(0, 30), { normalize: true });
  for (const [i, [row]] of rows.entries()) {
    expect(Math.max(...row!.map((value, j) => Math.abs(value - expected.row(i)[j]!)))).toBeLessThan(1e-6);
  }
  expect((await Promise.all(begun)).map(({ status }) => status)).toEqual(new Array(8).fill(200));
}, 60_000);

test("bytes of any kind on a connection are answered or cut off, and the server goes on", async () => {
  const server = await start({ headersTimeoutMs: 300, requestTimeoutMs: 500 });
  const body = JSON.stringify({ inputs: "law" });
  const head = `POST /embed HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
  const whole = `${head}\r\n\r\n${body}`;
  const close = whole.replace("host: a", "host: a\r\nconnection: close");
  const twice = await said(server.url, whole + whole + close);
  expect(twice.text.match(/HTTP\/1.1 200 /g)).toHaveLength(3); // one behind the other on one connection
  const wrong = [
    close.replace("content-length", `content-length: ${body.length + 1}\r\ncontent-length`),
    close.replace("content-length", "transfer-encoding: chunked\r\ncontent-length"),
    close.replace("host: a", `x: ${"y".repeat(100_000)}`),
    close.replace("/embed", "*"),
    close.replace("/embed", "/embed#\u0000"),
  ];
  for (const bytes of wrong) expect((await said(server.url, bytes)).text).toMatch(/^HTTP\/1.1 4\d\d /);
  await fc.assert(
    fc.asyncProperty(fc.nat(close.length - 1), fc.string({ unit: "binary", maxLength: 20 }), async (place, other) => {
      const bytes = close.slice(0, place) + other + close.slice(place + 1);
      const { text, ms } = await said(server.url, bytes, true);
      expect(text).not.toMatch(/^HTTP\/1.1 5/m);
      expect(ms).toBeLessThan(8000);
    }),
    { numRuns: 60, seed: 7 },
  );
  expect((await post(`${server.url}/embed`, { inputs: "law" })).status).toBe(200);
  await until(async () => (await inFlight(server)) === 0);
}, 120_000);

test("a drain answers what has begun, says 503 to the rest, and then closes", async () => {
  const server = await start();
  const begun = post(`${server.url}/embed`, { inputs: bulk });
  await until(() => encoder.waitingTokens > 0);
  const closed = server.close();
  const refused = await post(`${server.url}/embed`, { inputs: "law" });
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect((await fetch(`${server.url}/health`)).status).toBe(503);
  const rows = (await (await begun).json()) as number[][];
  expect(rows).toHaveLength(bulk.length);
  expect(await closed).toBe(true);
  await expect(fetch(`${server.url}/health`)).rejects.toThrow();
});

test("a drain that takes too long ends the connections", async () => {
  const server = await start({ drainTimeoutMs: 1 });
  const begun = post(`${server.url}/embed`, { inputs: bulk }).then(
    (response) => response.text(),
    (error: Error) => error.name,
  );
  await until(() => encoder.waitingTokens > 0);
  expect(await server.close()).toBe(false);
  expect(await begun).toBe("TypeError"); // fetch's word for a connection that broke
  await until(() => encoder.waitingTokens === 0, 2000);
});

test("options that are wrong are refused, as is a port that is taken", async () => {
  await expect(start({ payloadLimit: 0 })).rejects.toThrow(/payloadLimit/);
  await expect(start({ ports: 1 } as ServerOptions)).rejects.toThrow(/ports/);
  const { url } = await start();
  await expect(start({ port: Number(new URL(url).port) })).rejects.toThrow(/expected a free port/);
});

/** The program, once it says `line`. */
async function program(
  args: string[],
  env: NodeJS.ProcessEnv = {},
): Promise<{ child: ChildProcess; url: string; out(): string }> {
  const child = spawn(process.execPath, [BIN, "serve", ...args], { env: { ...process.env, ...env } });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      out += chunk;
    });
  }
  await until(() => /: ready/.test(out) || child.exitCode !== null, 50_000);
  return { child, url: /http:\/\/[\w.]+:\d+/.exec(out)?.[0] ?? "", out: () => out };
}

test("the program serves by flags and variables, logs requests, and ends with 0 after SIGTERM", async () => {
  const keys = join(place, "keys.txt");
  writeFileSync(keys, "# of the team\nfile-key\n");
  const args = [folder, "--port", "0", "--api-key-file", keys, "--threads", "1", "--json-output"];
  const env = { API_KEY: "variable-key", MAX_CLIENT_BATCH_SIZE: "2000", SERVED_MODEL_NAME: "small" };
  const { child, url, out } = await program(args, env);
  try {
    expect(out().split("\n")[0]).toContain("127.0.0.1");
    expect((await post(`${url}/embed`, { inputs: "law" })).status).toBe(401);
    for (const key of ["file-key", "variable-key"]) {
      const answer = await post(
        `${url}/v1/embeddings`,
        { input: "law" },
        { headers: { authorization: `Bearer ${key}` } },
      );
      expect(((await answer.json()) as { model: string }).model).toBe("small");
    }
    const headers = { authorization: "file-key" };
    expect((await post(`${url}/embed`, { inputs: [...bulk, "law"] }, { headers })).status).toBe(422);
    const begun = post(`${url}/embed`, { inputs: bulk }, { headers });
    await until(async () => (await (await fetch(`${url}/metrics`)).text()).includes("neobert_requests_in_flight 2"));
    child.kill("SIGTERM");
    expect(((await (await begun).json()) as unknown[]).length).toBe(bulk.length);
    await until(() => child.exitCode !== null);
    expect(child.exitCode).toBe(0);
    const lines = out()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.find(({ path }) => path === "/v1/embeddings")).toMatchObject({ status: 200, inputs: 1, tokens: 3 });
    expect(out()).not.toContain("-key");
  } finally {
    child.kill("SIGKILL");
  }
}, 120_000);

test("the program takes models by name, several engines of one, an address from HOSTNAME and prompts by flag", async () => {
  const args = [`first=${folder}`, `second=${folder}`, "--port", "0", "--instances", "2", "--default-prompt", "law "];
  const { child, url, out } = await program(args, { HOSTNAME: "127.0.0.2" });
  try {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.2:/);
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual(["first", "second"]);
    const answer = await post(`${url}/v1/embeddings`, { model: "second", input: "war" });
    const { model, data: rows } = (await answer.json()) as { model: string; data: { embedding: number[] }[] };
    const expected = await encoder.encode("law war", { normalize: true });
    expect(model).toBe("second");
    expect(Math.max(...rows[0]!.embedding.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThan(1e-6);
  } finally {
    child.kill("SIGKILL");
  }
  expect(out()).not.toMatch(/rror/);
}, 120_000);

test("a signal while models load ends the program with 0, whatever is loaded by then", async () => {
  const large = await writeSmallModel({
    config: { vocab_size: 90, hidden_size: 512, intermediate_size: 2048, num_hidden_layers: 8 },
  });
  for (const ms of [0, 30, 120, 300]) {
    const child = spawn(process.execPath, [BIN, "serve", large, "--port", "0"], {
      env: { ...process.env, HOSTNAME: "box" },
    });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (out += chunk));
    await until(() => out.includes(": loading"), 30_000);
    expect(out).toContain("127.0.0.1");
    await new Promise((resolve) => setTimeout(resolve, ms));
    const isLoading = !out.includes(": ready");
    child.kill("SIGTERM");
    await until(() => child.exitCode !== null || child.signalCode !== null, 30_000);
    expect([child.exitCode, child.signalCode, isLoading || ms > 0, out.match(/rror/)]).toEqual([0, null, true, null]);
  }
}, 120_000);

test("without a model the program says what is missing; a file of models that is wrong ends it with file and field", async () => {
  const none = await program(["--port", "0"], { MODEL_ID: "" });
  expect([none.child.exitCode, none.out().includes("missing required argument")]).toEqual([2, true]);
  const file = join(place, "models.yaml");
  writeFileSync(file, `models: [{ model: ${folder}, threads: no }]`);
  const wrong = await program(["--port", "0"], { MODEL_ID: file });
  expect([wrong.child.exitCode, wrong.out().includes(`${file}: models.0.threads: expected`)]).toEqual([2, true]);
}, 120_000);

test("a model that cannot be loaded ends the program with its reason", async () => {
  const { child, out } = await program([place, "--port", "0"]);
  expect(child.exitCode).toBe(1);
  expect(out()).toMatch(/config\.json|expected/);
}, 60_000);
