// `neobert evaluate mteb` on small models and data, in this process, and against a small server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { buildProgram } from "./program.js";

let work: string;
let model: string;
let server: Server;
let url: string;
let keys: (string | undefined)[];
let asked: string[];
/** Called before a request for vectors is answered. */
let beforeAnswer: (input: string[]) => void;
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "neobert-mteb-"));
  model = join(work, "first");
  const made = await writeSmallModel({});
  for (const name of ["first", "second"]) cpSync(made, join(work, name), { recursive: true });
  rmSync(made, { recursive: true });
  const pairs = Array.from(
    { length: 12 },
    (_, i) => `${wordsText(8, i)}\t${wordsText(8, i + (i % 3))}\t${5 - 2 * (i % 3)}\n`,
  );
  writeFileSync(join(work, "pairs.tsv"), pairs.join(""));
  const columns = "{ sentence1: 0, sentence2: 1, score: 2 }";
  writeFileSync(
    join(work, "data.yaml"),
    `STS12: { test: { files: pairs.tsv, header: false, columns: ${columns} } }\nmine: { type: STS, test: { files: absent.tsv, header: false, columns: ${columns} } }\n`,
  );
  server = createServer(async (request, response) => {
    keys.push(request.headers.authorization);
    if (request.url === "/v1/models") return response.end(JSON.stringify({ data: [{ id: "acme/server" }] }));
    const { input } = (await json(request)) as { input: string[] };
    beforeAnswer(input);
    asked.push(...input);
    const embedding = (text: string) => [text.length, ...Array.from({ length: 8 }, (_, i) => text.charCodeAt(i) || 0)];
    return response.end(JSON.stringify({ data: input.map((text, index) => ({ index, embedding: embedding(text) })) }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(work, { recursive: true });
});
beforeEach(() => {
  keys = [];
  asked = [];
  beforeAnswer = () => {};
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

async function run(...args: string[]) {
  const printed = { output: "", log: "", code: 0 };
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    printed.output += `${line}\n`;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    printed.log += text;
    return true;
  });
  const before = process.exitCode;
  try {
    const data = ["--data", join(work, "data.yaml"), "--data-root", work, "--out", join(work, "out")];
    const program = await buildProgram(["evaluate", "mteb"]);
    await program.parseAsync(["evaluate", "mteb", ...args, ...data], { from: "user" });
    printed.code = Number(process.exitCode ?? 0);
  } finally {
    process.exitCode = before;
  }
  return printed;
}

test("two models give a result file each and a table; the same command again keeps what is there", async () => {
  const first = await run(model, join(work, "second"), "--tasks", "STS12");
  expect(first.code).toBe(0);
  expect(first.output).toMatch(/^ +first +second$/m);
  const [, one, two] = /^STS12 +(\S+) +(\S+)$/m.exec(first.output)!;
  expect(one).toBe(two);
  expect(first.output).toMatch(/^STS +\S+ \(1 of 10\) +\S+ \(1 of 10\)$/m);
  const file = JSON.parse(readFileSync(join(work, "out/first/no_revision_available/STS12.json"), "utf8"));
  expect((100 * file.scores.test[0].main_score).toFixed(2)).toBe(one);
  const again = await run(model, "--tasks", "STS12");
  expect(again.log).toMatch(/STS12 .* kept/);
  expect(again.output).toContain(one!);
});

test("a task that fails is named, and the program exits with 1", async () => {
  const { output, log, code } = await run(model);
  expect(code).toBe(1);
  expect(log).toMatch(/mine +failed: .*absent\.tsv: expected a file/);
  expect(output).toMatch(/failed: first: mine: .*absent\.tsv/);
});

test("a server is scored by its address, with the key of the variable that is named", async () => {
  vi.stubEnv("MY_KEY", "secret");
  const { output, code } = await run(url, "--tasks", "STS12", "--api-key-env", "MY_KEY", "--json");
  expect(code).toBe(0);
  const [summary] = JSON.parse(output);
  expect(summary).toMatchObject({ name: "acme/server", scored: 1, failures: [] });
  expect(new Set(keys)).toEqual(new Set(["Bearer secret"]));
  const meta = JSON.parse(readFileSync(join(work, "out/acme__server/no_revision_available/model_meta.json"), "utf8"));
  expect(meta.framework).toEqual(["API"]);
});

test("a run that is killed goes on with the task that it was at", { timeout: 60_000 }, async () => {
  const sets = ["a", "b"].map((name) => {
    const pairs = Array.from({ length: 6 }, (_, i) => `${name}${i}\t${name}${name}${i * i}\t${i}\n`);
    writeFileSync(join(work, `${name}.tsv`), pairs.join(""));
    return `set ${name}: { type: STS, test: { files: ${name}.tsv, header: false, columns: { sentence1: 0, sentence2: 1, score: 2 } } }\n`;
  });
  writeFileSync(join(work, "kill.yaml"), sets.join(""));
  const out = join(work, "killed");
  const args = ["evaluate", "mteb", url, "--data", join(work, "kill.yaml"), "--data-root", work, "--out", out];
  const start = () =>
    spawn(process.execPath, [fileURLToPath(new URL("../../bin/neobert.js", import.meta.url)), ...args], {
      stdio: "ignore",
    });
  const first = start();
  beforeAnswer = (input) => {
    if (input.some((text) => text.startsWith("b"))) first.kill("SIGKILL");
  };
  expect(await once(first, "exit")).toEqual([null, "SIGKILL"]);
  expect(existsSync(join(out, "acme__server/no_revision_available/set_a.json"))).toBe(true);
  asked = [];
  beforeAnswer = () => {};
  expect(await once(start(), "exit")).toEqual([0, null]);
  expect(asked.length).toBe(12);
  expect(asked.every((text) => text.startsWith("b"))).toBe(true);
  expect(existsSync(join(out, "acme__server/no_revision_available/set_b.json"))).toBe(true);
});

test("models of one name, no model, and unknown tasks are refused before anything is scored", async () => {
  await expect(run(model, model)).rejects.toThrow("expected models of different names, got first twice");
  await expect(run()).rejects.toThrow("expected at least one model");
  await expect(run(model, "--tasks", "STS1")).rejects.toThrow("Did you mean STS12");
  expect(existsSync(join(work, "out/STS1"))).toBe(false);
});

test("--list prints the 56 tasks with their data sets", async () => {
  const { output } = await run("--list");
  expect(output.trim().split("\n").length).toBe(56);
  expect(output).toMatch(/^SciFact +Retrieval +mteb\/scifact$/m);
});
