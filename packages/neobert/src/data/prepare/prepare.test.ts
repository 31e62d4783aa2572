import { execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, expect, test } from "vitest";
import { compiledFile } from "../../files/package.js";
import { loadTokenizer, saveTokenizer } from "../../tokenizer/index.js";
import { randomBelow, randomStreams, uniform } from "../random.js";
import { openShards } from "../shards.js";
import { type PrepareOptions, type PrepareProgress, prepareData } from "./prepare.js";
import { ShardWriter } from "./shard-writer.js";

const root = mkdtempSync(join(tmpdir(), "neobert-prepare-"));
afterAll(() => rmSync(root, { recursive: true }));

const words = "the a of to river mountain winter summer people government shall union states free bread light".split(
  " ",
);
const tokenizerFolder = join(root, "tokenizer");
mkdirSync(tokenizerFolder);
const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const vocabulary = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  ".",
  ...letters,
  ...letters.map((c) => `##${c}`),
  ...words,
];
writeFileSync(join(tokenizerFolder, "vocab.txt"), [...new Set(vocabulary)].join("\n"));

/** Documents of 1 to 60 words, in two JSON-lines files and one text file split at lines. */
const documents = Array.from({ length: 400 }, (_, document) => {
  const length = 1 + randomBelow(60, 1, 1, document);
  return Array.from({ length }, (_, word) => words[randomBelow(words.length, document, 2, word)]).join(" ");
});
const input = join(root, "input");
mkdirSync(input);
const jsonLines = (some: string[]) => some.map((text) => `${JSON.stringify({ text })}\n`).join("");
writeFileSync(join(input, "a.jsonl"), jsonLines(documents.slice(0, 150)));
writeFileSync(join(input, "b.jsonl"), jsonLines(documents.slice(150, 330)));
writeFileSync(join(input, "c.txt"), `${documents.slice(330).join("\n")}\n`);

let runs = 0;
const optionsOf = (more: Partial<PrepareOptions> = {}): PrepareOptions => ({
  sources: input,
  tokenizer: tokenizerFolder,
  out: join(root, `out-${runs++}`),
  split: "line",
  shardTokens: 1500,
  validation: { fraction: 0.1, seed: 3 },
  workers: 2,
  ...more,
});

/** sha256 of every file under a folder, by path. */
function filesOf(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const hashes = paths.map((entry) => {
    const path = join(entry.parentPath, entry.name);
    return [path.slice(folder.length), createHash("sha256").update(readFileSync(path)).digest("hex")] as const;
  });
  return Object.fromEntries(hashes.sort());
}

function documentsOf(folder: string): number[][] {
  const shards = openShards(folder);
  const all = Array.from({ length: shards.documents }, (_, document) => [...shards.document(document)]);
  shards.close();
  return all;
}

const tokenizer = loadTokenizer(tokenizerFolder);
const tokenized = documents.map((text) => [...tokenizer.encodeIds(text)]);

test("train and validation hold every document once, whole, in the order of the input", async () => {
  const options = optionsOf();
  const result = await prepareData(options);
  expect(result.status).toBe("prepared");
  const [train, validation] = [documentsOf(result.train.folder), documentsOf(result.validation!.folder)];
  expect(openShards(result.train.folder).manifest.shards.length).toBeGreaterThan(5);
  expect(validation.length).toBeGreaterThan(20);
  expect(validation.length).toBeLessThan(60);
  let [inTrain, inValidation] = [0, 0];
  for (const ids of tokenized) {
    if (JSON.stringify(train[inTrain]) === JSON.stringify(ids)) inTrain++;
    else expect(validation[inValidation++]).toEqual(ids);
  }
  expect([inTrain, inValidation]).toEqual([train.length, validation.length]);
});

test("the manifest counts documents and tokens and names tokenizer, special ids and the hash of each source", async () => {
  const { manifest } = openShards((await prepareData(optionsOf({ validation: undefined }))).train.folder);
  expect(manifest.documents).toBe(400);
  expect(manifest.tokens).toBe(tokenized.flat().length);
  expect(manifest.shards.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(manifest.tokens);
  expect(manifest.tokenizer).toEqual({ hash: tokenizer.hash, vocabSize: tokenizer.vocabSize });
  expect(manifest.specialIds).toEqual({ pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 });
  expect(manifest.sources.map(({ path }) => path)).toEqual(
    ["a.jsonl", "b.jsonl", "c.txt"].map((name) => join(input, name)),
  );
  for (const { path, bytes, sha256 } of manifest.sources) {
    const content = readFileSync(path);
    expect([bytes, sha256]).toEqual([content.length, createHash("sha256").update(content).digest("hex")]);
  }
});

test("bytes, of which none is unknown, are prepared without an id for unknown tokens", async () => {
  const path = fileURLToPath(new URL("../../../../../test/golden/tokenizers/llama3-split.json.gz", import.meta.url));
  const folder = mkdtempSync(join(root, "bytes-"));
  const { tokenizer: json } = JSON.parse(gunzipSync(readFileSync(path)).toString());
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
  const names = { bos_token: "<|begin_of_text|>", eos_token: "<|end_of_text|>", pad_token: "<|pad|>" };
  const write = (names: object) => writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(names));
  write(names);
  const prepare = () => prepareData(optionsOf({ tokenizer: folder, validation: undefined }));
  await expect(prepare()).rejects.toThrow(/all special tokens, got one without \[MASK\]\n/);
  write({ ...names, mask_token: "<|mask|>" });
  const { manifest } = openShards((await prepare()).train.folder);
  expect(manifest.specialIds).toEqual({ cls: 0, sep: 1, pad: 2, mask: 3 });
});

test("the output is the same bytes whatever the number of workers", async () => {
  const [one, three] = [optionsOf({ workers: 1 }), optionsOf({ workers: 3 })];
  await prepareData(one);
  await prepareData(three);
  expect(filesOf(one.out)).toEqual(filesOf(three.out));
});

test("minTokens and maxTokens keep exactly the documents of that length", async () => {
  const result = await prepareData(optionsOf({ minTokens: 20, maxTokens: 40, validation: undefined }));
  const kept = tokenized.filter(({ length }) => length >= 20 && length <= 40);
  expect(documentsOf(result.train.folder)).toEqual(kept);
  const short = tokenized.filter(({ length }) => length < 20).length;
  expect(result.dropped).toEqual({ short, long: 400 - short - kept.length });
});

test("a second run does nothing and says so; other settings or inputs are refused by name unless forced", async () => {
  const sources = join(root, "changing.jsonl");
  writeFileSync(sources, jsonLines(documents.slice(0, 50)));
  const options = optionsOf({ sources });
  const first = await prepareData(options);
  const before = filesOf(options.out);
  expect(await prepareData(options)).toEqual({ ...first, status: "unchanged" });
  expect(filesOf(options.out)).toEqual(before);
  await expect(prepareData({ ...options, minTokens: 5 })).rejects.toThrow(
    /got others\n {2}minTokens: 1, now 5\n.*`force`/,
  );
  writeFileSync(sources, jsonLines(documents.slice(0, 40)));
  await expect(prepareData(options)).rejects.toThrow(
    /source 1: "changing.jsonl [0-9a-f]{64}", now "changing.jsonl [0-9a-f]{64}"\n/,
  );
  expect(filesOf(options.out)).toEqual(before);
  writeFileSync(sources, jsonLines(documents.slice(0, 50)));
  mkdirSync(join(root, "moved"));
  renameSync(sources, join(root, "moved", "changing.jsonl"));
  const moved = { ...options, sources: join(root, "moved", "changing.jsonl") };
  expect((await prepareData(moved)).status).toBe("unchanged");
  writeFileSync(moved.sources, jsonLines(documents.slice(0, 40)));
  const forced = await prepareData({ ...moved, force: true });
  expect(forced.status).toBe("prepared");
  expect(forced.train.documents + forced.validation!.documents).toBe(40);
});

test("a run that stops between shards keeps the finished ones, and the next ends with the bytes of an unbroken run", async () => {
  const whole = optionsOf();
  await prepareData(whole);
  const broken = optionsOf();
  const stop = new AbortController();
  const onProgress = ({ phase, filesDone }: PrepareProgress) => {
    if (phase === "tokenizing" && filesDone === 1) stop.abort(new Error("enough"));
  };
  await expect(prepareData({ ...broken, signal: stop.signal, onProgress })).rejects.toThrow("enough");
  expect(() => openShards(join(broken.out, "train"))).toThrow(/not finished: run the same/);
  expect(existsSync(join(broken.out, "train", "tokens-00001.bin"))).toBe(true);
  expect((await prepareData(broken)).status).toBe("resumed");
  expect(filesOf(broken.out)).toEqual(filesOf(whole.out));
});

test("a document is held out by its file and place there; a preparation of before goes on by its number among all", async () => {
  const heldOutBy = (place: (document: number) => [number, number?]) =>
    tokenized.filter((_, document) => uniform(3, randomStreams.heldOut, ...place(document)) < 0.1);
  const files = [0, 150, 330, 400];
  const byFile = heldOutBy((document) => {
    const file = files.findLastIndex((first) => first <= document);
    return [document - files[file]!, file];
  });
  const byNumber = heldOutBy((document) => [document]);
  expect(byFile).not.toEqual(byNumber);
  expect(documentsOf((await prepareData(optionsOf())).validation!.folder)).toEqual(byFile);

  const before = optionsOf();
  const stop = new AbortController();
  const statePath = join(before.out, "prepare.json");
  const onProgress = () => {
    if (existsSync(statePath) && readFileSync(statePath, "utf8").includes("tokens")) stop.abort(new Error("enough"));
  };
  await expect(prepareData({ ...before, signal: stop.signal, onProgress })).rejects.toThrow("enough");
  const state = JSON.parse(readFileSync(statePath, "utf8"));
  expect(state.shards.train.length).toBeGreaterThan(0);
  expect(state.position.file).toBe(0); // where both ways agree
  writeFileSync(statePath, JSON.stringify({ ...state, version: 1 }));
  expect(documentsOf((await prepareData(before)).validation!.folder)).toEqual(byNumber);
});

test("killed at any moment and run again until it ends, it gives the bytes of an unbroken run", async () => {
  const sources = join(root, "long.jsonl");
  writeFileSync(sources, jsonLines(Array.from({ length: 60 }, () => documents).flat()));
  const whole = optionsOf({ sources, shardTokens: 20_000 });
  await prepareData(whole);
  const broken = { ...whole, out: join(root, `out-${runs++}`) };
  const prepareUrl = compiledFile("data/prepare/prepare").href;
  const script = `import { prepareData } from ${JSON.stringify(prepareUrl)}; await prepareData(${JSON.stringify(broken)});`;
  const statePath = join(broken.out, "prepare.json");
  const finishedShards = (): number =>
    existsSync(statePath) ? JSON.parse(readFileSync(statePath, "utf8")).shards.train.length : 0;
  let [kills, running] = [0, true];
  while (running) {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: "inherit" });
    const exit = new Promise<number | null>((resolve) => child.once("exit", resolve)); // null when killed
    const target = finishedShards() + randomBelow(5, 9, 1, kills);
    while (child.exitCode === null && finishedShards() < target) await setTimeout(5);
    await setTimeout(randomBelow(60, 9, 2, kills));
    if (kills < 30) child.kill("SIGKILL");
    const code = await exit;
    if (code !== null) expect(code).toBe(0);
    running = code === null;
    if (running) kills++;
  }
  expect(kills).toBeGreaterThan(2); // how many fit into over 30 shards depends on the machine
  const { "/.lock": _, ...files } = filesOf(broken.out); // a kill when all was done, which the last run only looks at
  expect(files).toEqual(filesOf(whole.out));
}, 120_000);

test("a folder that another process is preparing is refused, forced too; a killed one's is taken over with a note", async () => {
  const sources = join(root, "locked.jsonl");
  writeFileSync(sources, jsonLines(Array.from({ length: 60 }, () => documents).flat()));
  const options = optionsOf({ sources, shardTokens: 20_000 });
  const prepareUrl = compiledFile("data/prepare/prepare").href;
  // The child waits in its first progress of tokenizing.
  const script = `import { prepareData } from ${JSON.stringify(prepareUrl)};
    const onProgress = ({ phase }) => {
      if (phase === "tokenizing") { console.log("here"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }
    };
    await prepareData({ ...${JSON.stringify(options)}, onProgress });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const refused = `${options.out}: expected a folder that no one else is writing, got one that process ${child.pid} `;
  for (const force of [false, true]) await expect(prepareData({ ...options, force })).rejects.toThrow(refused);
  child.kill("SIGKILL");
  await once(child, "exit");
  const notes: string[] = [];
  await prepareData({ ...options, onNote: (note) => notes.push(note) });
  expect(notes).toEqual([`${options.out}: took over from process ${child.pid}, which is gone and had not finished`]);
  expect(readdirSync(options.out).sort()).toEqual(["prepare.json", "tokenizer", "train", "validation"]);
  // What is finished needs no lock to be looked at.
  const other = { pid: process.ppid, host: hostname(), began: null, since: "now" };
  writeFileSync(join(options.out, ".lock"), JSON.stringify(other));
  expect((await prepareData(options)).status).toBe("unchanged");
  await expect(prepareData({ ...options, force: true })).rejects.toThrow(`process ${process.ppid} `);
}, 60_000);

test("a split that ends up empty is an error with the counts, and binds the next run to nothing", async () => {
  const options = optionsOf({ minTokens: 10_000 });
  await expect(prepareData(options)).rejects.toThrow(
    /documents for train, got none of 400 \(400 too short, 0 too long\)/,
  );
  expect((await prepareData({ ...options, minTokens: 2 })).status).toBe("prepared");
});

test("text files of one document each, none of them held out, are told of splitting, and bind the next run to nothing", async () => {
  const files = ["one", "two"].map((name) => join(root, `${name}.txt`));
  for (const file of files) writeFileSync(file, "the people\n\nof the house\n\nshall govern\n\n".repeat(20));
  const options = optionsOf({ split: "file", sources: files, validation: { fraction: 0.01, seed: 0 } });
  await expect(prepareData(options)).rejects.toThrow(
    "prepareData: expected documents for validation, got none of 2 (0 too short, 0 too long)\n" +
      "Each text file is one document: set `split` to line or paragraph to have more.",
  );
  const { status, validation } = await prepareData({
    ...options,
    split: "line",
    validation: { fraction: 0.2, seed: 0 },
  });
  expect(status).toBe("prepared");
  expect(validation!.documents).toBeGreaterThan(0);
});

test("folders that no preparation made are neither written to nor removed, not even when forced", async () => {
  const options = optionsOf({ force: true });
  mkdirSync(join(options.out, "train"), { recursive: true });
  writeFileSync(join(options.out, "train", "mine.txt"), "mine");
  await expect(prepareData(options)).rejects.toThrow(
    /to be new or made by an earlier preparation, got .*train of another/,
  );
  expect(filesOf(options.out)).toEqual({ "/train/mine.txt": expect.any(String) });
});

test("the tokenizer may already lie where its copy goes, and the copy has the hash of the manifest", async () => {
  const options = optionsOf();
  const tokenizerCopy = join(options.out, "tokenizer");
  await prepareData(options);
  const { manifest } = openShards(join(options.out, "train"));
  expect(loadTokenizer(tokenizerCopy).hash).toBe(manifest.tokenizer.hash);
  expect((await prepareData({ ...options, tokenizer: tokenizerCopy })).status).toBe("unchanged");
  expect((await prepareData({ ...options, tokenizer: tokenizerCopy, force: true })).status).toBe("prepared");
});

test("an unreadable document and a broken tokenizer end the run with their own message", async () => {
  const sources = join(root, "broken.jsonl");
  writeFileSync(sources, `${jsonLines(documents.slice(0, 20))}{"text": 1\n`);
  await expect(prepareData(optionsOf({ sources }))).rejects.toThrow(/broken.jsonl/);
  await expect(prepareData(optionsOf({ tokenizer: join(root, "nowhere") }))).rejects.toThrow(/nowhere/);
});

test("settings that cannot work are refused before anything is read", async () => {
  await expect(prepareData(optionsOf({ minTokens: 0 }))).rejects.toThrow(
    /minTokens to be a whole number above 0, got 0/,
  );
  await expect(prepareData(optionsOf({ validation: { fraction: 1 } }))).rejects.toThrow(/between 0 and 1, got 1/);
  await expect(prepareData(optionsOf({ maxTokens: 3, minTokens: 5 }))).rejects.toThrow(/at least minTokens = 5, got 3/);
});

test("a vocabulary with a gap before its largest id gets shards that hold that id", async () => {
  const folder = join(root, "sparse");
  saveTokenizer(tokenizer, folder);
  const path = join(folder, "tokenizer.json");
  const json = JSON.parse(readFileSync(path, "utf8"));
  json.model.vocab.mountain = 70_001; // as uint16 it would be 4,465
  writeFileSync(path, JSON.stringify(json));
  const sources = join(root, "sparse.txt");
  writeFileSync(sources, "mountain");
  const { train } = await prepareData(
    optionsOf({ tokenizer: folder, sources, out: join(root, "sparse-out"), validation: undefined }),
  );
  const shards = openShards(train.folder);
  expect(shards.manifest.dtype).toBe("uint32");
  expect([...shards.document(0)]).toEqual([70_001]);
  shards.close();
});

test.skipIf(!existsSync("/dev/full"))("a full disk is named as what it is, with the shard's path", () => {
  const folder = mkdtempSync(join(root, "full-"));
  symlinkSync("/dev/full", join(folder, "tokens-00000.bin.part"));
  const writer = new ShardWriter(folder, 0);
  writer.append(Uint16Array.of(1, 2));
  expect(() => writer.finish()).toThrow(/tokens-00000\.bin: ENOSPC/);
  writer.discard();
  expect(readdirSync(folder)).toEqual([]);

  const closed = new ShardWriter(folder, 1);
  closed.append(Uint16Array.of(1));
  mkdirSync(join(folder, "offsets-00001.bin")); // its file cannot take that name
  expect(() => closed.finish()).toThrow("offsets-00001.bin");
  closed.discard(); // its descriptor, closed by now, may be another's
});

test("a pipe is refused, for it cannot be hashed and then read", async () => {
  const sources = join(root, "pipe.txt");
  execFileSync("mkfifo", [sources]);
  await expect(prepareData(optionsOf({ sources }))).rejects.toThrow("pipe.txt: expected a file");
});
