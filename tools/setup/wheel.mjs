// Single members of a wheel on the net: a wheel is a zip file, whose list of members stands at its end, so that range requests
// reach one library of a few in gigabytes. What is fetched goes on after a cut from the byte where it stopped, and a
// member counts only with the SHA-256 that the wheel's RECORD has for it.
// Ranges go by Node's fetch: a proxy of the environment is used from Node 24 on, with NODE_USE_ENV_PROXY=1.
import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  createWriteStream,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { PassThrough, Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createInflateRaw, inflateRawSync } from "node:zlib";
import { SetupError } from "./steps.mjs";

const STALL_TIMEOUT_MS = 60_000;
const TRIES = 5;
const LONGEST_END = 65_557; // the end record with the longest comment
const LOCAL_HEADER = 30;
const NO_RANGES =
  "install torch into the Python on the PATH (pip install torch), which is then used as it is, or set LIBTORCH to such a torch";

/** A wheel's members: `{ name, file, size, at, end, packedSize, deflated, sha256 }`, `at` to `end` being all that it takes of the file. */
export async function openWheel({ url, recordHash, retryMs }) {
  const get = async (from, to) => (await fetchPart({ url, from, to, retryMs })).bytes;
  const { size } = await fetchPart({ url, from: 0, to: 1, retryMs });
  const tail = await get(Math.max(0, size - LONGEST_END), size);
  const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0) throw unreadable(url, "it has no zip directory");
  const [bytes, at] = [tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16)];
  if (at === 0xffffffff) throw unreadable(url, "it is a zip64 file");
  const members = readDirectory(await get(at, at + bytes), at);
  const record = members.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  if (!record) throw unreadable(url, "it has no RECORD");
  const text = await read(record);
  const hash = createHash("sha256").update(text).digest("hex");
  if (hash !== recordHash) {
    throw new SetupError(
      `set-up: expected the wheel ${nameOf(url)} whose RECORD has SHA-256 ${recordHash}, got ${hash}\n` +
        "look at what pip's index-url names: it serves another file than was published under this name",
    );
  }
  for (const line of text.toString().split("\n")) {
    const [, name, sha256] = /^"?(.*?)"?,sha256=([\w-]+),\d*\r?$/.exec(line) ?? [];
    const member = name && members.find((one) => one.name === name);
    if (member) member.sha256 = Buffer.from(sha256, "base64url").toString("hex");
  }
  return { url, recordHash, members, read };

  async function read({ at, end, packedSize, deflated }) {
    const part = await get(at, end);
    const start = dataStart(part);
    const data = part.subarray(start, start + packedSize);
    return deflated ? inflateRawSync(data) : data;
  }
}

/**
 * Makes `target` of a member. `onBytes(count)` hears of every piece that came, and of what an earlier try has left at once.
 * Throws SetupError after several tries, then a later call goes on; and where the hash is another.
 */
export async function fetchMember({ wheel, member, target, onBytes, retryMs = 1000 }) {
  mkdirSync(dirname(target), { recursive: true });
  // Named by the wheel that it is of, lest one is continued with another's bytes.
  const part = `${target}.${wheel.recordHash.slice(0, 8)}.part`;
  const total = member.end - member.at;
  onBytes(Math.min(sizeIfThere(part), total));
  for (let attempt = 1; sizeIfThere(part) < total; ) {
    const before = sizeIfThere(part);
    try {
      await appendRange({ url: wheel.url, from: member.at + before, to: member.end, part, onBytes });
    } catch (error) {
      if (error instanceof SetupError) throw error;
      if (error.code === "ENOSPC") throw diskFull(dirname(target));
      attempt = sizeIfThere(part) > before ? 1 : attempt + 1;
      if (attempt > TRIES) throw broken(wheel.url, error);
      await sleep(retryMs * 2 ** (attempt - 1));
    }
  }
  await unpack({ part, member, target });
}

async function appendRange({ url, from, to, part, onBytes }) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), STALL_TIMEOUT_MS);
  try {
    const response = await rangeOf(url, from, to, abort.signal);
    const meter = new Transform({
      transform(chunk, _encoding, done) {
        clearTimeout(timer);
        timer = setTimeout(() => abort.abort(), STALL_TIMEOUT_MS);
        onBytes(chunk.length);
        done(null, chunk);
      },
    });
    await pipeline(Readable.fromWeb(response.body), meter, createWriteStream(part, { flags: "a" }), {
      signal: abort.signal,
    });
  } finally {
    clearTimeout(timer);
  }
}

async function unpack({ part, member, target }) {
  const header = Buffer.alloc(LOCAL_HEADER);
  const file = openSync(part, "r");
  readSync(file, header, 0, LOCAL_HEADER, 0);
  closeSync(file);
  const whole = `${target}.new`;
  const hash = createHash("sha256");
  try {
    const start = dataStart(header);
    const source = createReadStream(part, { start, end: start + member.packedSize - 1 });
    const hashing = new Transform({
      transform(chunk, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    const inflate = member.deflated ? createInflateRaw() : new PassThrough();
    await pipeline(source, inflate, hashing, createWriteStream(whole));
    const sha256 = hash.digest("hex");
    if (sha256 !== member.sha256) throw new Error(`SHA-256 ${sha256}`);
  } catch (error) {
    rmSync(whole, { force: true });
    if (error.code === "ENOSPC") throw diskFull(dirname(target));
    rmSync(part, { force: true });
    throw new SetupError(
      `set-up: expected ${basename(target)} with SHA-256 ${member.sha256}, got ${error.message}\n` +
        "run the command again to fetch it anew",
    );
  }
  renameSync(whole, target);
  rmSync(part);
}

/** Bytes `from` to `to` of a file, a few kilobytes or megabytes, and the size of the whole. */
async function fetchPart({ url, from, to, retryMs = 1000 }) {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await rangeOf(url, from, to, AbortSignal.timeout(STALL_TIMEOUT_MS));
      const size = Number(response.headers.get("content-range").split("/")[1]);
      return { bytes: Buffer.from(await response.arrayBuffer()), size };
    } catch (error) {
      if (error instanceof SetupError) throw error;
      if (attempt === TRIES) throw broken(url, error);
      await sleep(retryMs * 2 ** (attempt - 1));
    }
  }
}

async function rangeOf(url, from, to, signal) {
  const response = await fetch(url, {
    headers: { range: `bytes=${from}-${to - 1}`, "accept-encoding": "identity" },
    signal,
  });
  if (response.status === 206) return response;
  await response.body?.cancel();
  if (response.status >= 500 || response.status === 429) throw new Error(`status ${response.status}`);
  const got = response.status === 200 ? "the whole file" : `status ${response.status}`;
  throw new SetupError(`set-up: expected a part of ${nameOf(url)} from its index, got ${got}\n${NO_RANGES}`);
}

function readDirectory(bytes, directoryAt) {
  const members = [];
  for (let at = 0; at + 46 <= bytes.length && bytes.readUInt32LE(at) === 0x02014b50; ) {
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset));
    const name = bytes.subarray(at + 46, at + 46 + nameLength).toString();
    members.push({
      name,
      file: basename(name),
      deflated: bytes.readUInt16LE(at + 10) === 8,
      packedSize: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      at: bytes.readUInt32LE(at + 42),
    });
    at += 46 + nameLength + extra + comment;
  }
  members.sort((a, b) => a.at - b.at);
  for (const [i, member] of members.entries()) member.end = members[i + 1]?.at ?? directoryAt;
  return members;
}

/** Where a member's data begins behind its own header, whose lengths may be others than the directory's. */
function dataStart(header) {
  return LOCAL_HEADER + header.readUInt16LE(26) + header.readUInt16LE(28);
}

const sizeIfThere = (file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
const nameOf = (url) => decodeURIComponent(basename(new URL(url).pathname));

function unreadable(url, reason) {
  return new SetupError(`set-up: expected a wheel at ${url}, got a file that is none (${reason})\n${NO_RANGES}`);
}

function broken(url, error) {
  const reason = error.cause?.code ?? error.cause?.message ?? error.message;
  return new SetupError(
    `set-up: ${nameOf(url)} breaks off again and again (${reason})\n` +
      `run the command again, which goes on where it stopped; behind a proxy, with Node 24 and NODE_USE_ENV_PROXY=1. Or ${NO_RANGES}`,
  );
}

function diskFull(folder) {
  return new SetupError(
    `set-up: got a full disk at ${folder}\nfree some of it, and run the command again, which goes on where it stopped`,
  );
}
