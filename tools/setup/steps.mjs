// What every step of the set-up shares: one printed line with its time, child processes whose output goes to a log file,
// errors that carry the way out, a hash over source files, and a lock so that two set-ups never build at once.
// Plain JavaScript on Node's own modules: it runs before any package is installed.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Taking over a lock is a look and a removal; a file that says so for longer was left. */
const TAKEOVER_MS = 5000;
const PROGRESS_EVERY_MS = process.stdout.isTTY ? 500 : 10_000;

/** An expected failure: what is wrong in the first sentence, the way out in the second. */
export class SetupError extends Error {}

/**
 * Runs `work(note)` and prints `title  result  seconds`; `work` returns the result's text or an object with a `summary`.
 * `note(text)` shows progress: in place on a terminal, else a line every ten seconds.
 */
export async function step(title, work) {
  const started = performance.now();
  let lastShown = started;
  const note = (text) => {
    if (performance.now() - lastShown < PROGRESS_EVERY_MS) return;
    lastShown = performance.now();
    process.stdout.write(process.stdout.isTTY ? `\r\x1b[K${title.padEnd(12)}${text}` : `${title.padEnd(12)}${text}\n`);
  };
  const result = await work(note);
  const summary = typeof result === "string" ? result : result.summary;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(`${process.stdout.isTTY ? "\r\x1b[K" : ""}${title.padEnd(12)}${summary}  ${seconds} s\n`);
  return result;
}

/**
 * Runs a program without a shell and resolves to `{ code, output }`; a program that cannot be started has code -1.
 * With `logFile`, its output is appended there too; `onLine` sees every line as it comes.
 */
export function run(program, args, { cwd, env, logFile, onLine } = {}) {
  return new Promise((resolve) => {
    let output = "";
    let partial = "";
    if (logFile) {
      mkdirSync(dirname(logFile), { recursive: true });
      appendFileSync(logFile, `$ ${program} ${args.join(" ")}\n`);
    }
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const take = (text) => {
      output += text;
      if (logFile) appendFileSync(logFile, text);
      if (!onLine) return;
      const lines = (partial + text).split("\n");
      partial = lines.pop();
      for (const line of lines) onLine(line);
    };
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", take);
    child.on("error", (error) => resolve({ code: -1, output: error.message }));
    child.on("close", (code) => resolve({ code: code ?? -1, output }));
  });
}

/** The last lines of a program's output, for an error message. */
export function tail(output, lines = 30) {
  return output.trimEnd().split("\n").slice(-lines).join("\n");
}

/** All files under `folder` for which `keep(path relative to it)` holds, sorted; folders named in `skip` are not entered. */
export function listFiles(folder, keep, skip = ["node_modules", "dist", "build"]) {
  const found = [];
  const visit = (current) => {
    for (const entry of readdirSync(current, { withFileTypes: true })) {
      const path = join(current, entry.name);
      if (entry.isDirectory() && !skip.includes(entry.name)) visit(path);
      else if (entry.isFile() && keep(relative(folder, path))) found.push(path);
    }
  };
  visit(folder);
  return found.sort();
}

/** SHA-256 over the names and contents of `files` and any further `values`. */
export function hashFiles(files, ...values) {
  const hash = createHash("sha256").update(JSON.stringify(values));
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(file));
  return hash.digest("hex");
}

/** The text of a small file, or undefined where there is none. */
export function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Whether a process of this machine with this id is alive. */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Makes the file with all its text at once, so that no one reads it half written; false where there is one. */
function createWhole(file, text) {
  const whole = `${file}.${process.pid}`;
  writeFileSync(whole, text);
  try {
    linkSync(whole, file);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(whole);
  }
}

/**
 * Removes a dead holder's lock, which says `text`. One process at a time takes over, by a file of its own: what a lock says
 * then changes no more between the look at it and its removal.
 */
function removeIfStill(file, text) {
  const takeover = `${file}.takeover`;
  if (!createWhole(takeover, String(process.pid))) {
    const { mtimeMs } = statSync(takeover, { throwIfNoEntry: false }) ?? {};
    if (Date.now() - mtimeMs > TAKEOVER_MS) rmSync(takeover, { force: true }); // left by a kill
    return;
  }
  try {
    if (readText(file) === text) rmSync(file);
  } finally {
    rmSync(takeover, { force: true });
  }
}

/** Runs `work` while holding `file`; waits for another living holder, and takes over from a dead one. */
export async function withLock(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  for (let waited = false; !createWhole(file, String(process.pid)); waited = true) {
    const text = readText(file);
    if (text === undefined) continue; // given back in the meantime
    const holder = Number(text);
    if (!(holder > 0) || !isAlive(holder)) {
      removeIfStill(file, text);
      await sleep(10);
      continue;
    }
    if (!waited) console.log(`waiting for the set-up that process ${holder} runs (it holds ${file})`);
    await sleep(300);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
