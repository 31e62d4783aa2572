// For tests: an HTTP server of a folder, in a thread of its own, since a thread that reads from it sleeps meanwhile. It answers
// as a static server with ranges, and as the Hub at /datasets/acme/words; it counts, and misbehaves as it is told.
import { Worker } from "node:worker_threads";

/** How the server answers requests for files. */
export const behaviours = [
  "well",
  "cut", // the first answer for a range ends in its middle
  "busy", // the first answer for a range is 503
  "whole", // as if there were no ranges
  "larger", // ranges of a file of another size
  "shifted", // another range than was asked for
  "endless", // more bytes than the range has
  "short", // fewer bytes than the range has, said nowhere
  "expiring", // the Hub's storage addresses serve three times
  "slow", // 40 ms to the first byte
  "dead", // no answer but a closed connection
] as const;
export type Behaviour = (typeof behaviours)[number];

export const commit = "0123456789abcdef0123456789abcdef01234567";

/** A request that the server got. */
export interface SeenRequest {
  path: string;
  range: string | undefined;
  token: string | undefined;
}

export interface FixtureServer {
  url: string;
  behave(behaviour: Behaviour): void;
  /** What came since the last call. */
  seen(): Promise<SeenRequest[]>;
  close(): Promise<void>;
}

const code = `
const { createServer } = require("node:http");
const { closeSync, existsSync, openSync, readFileSync, readSync, statSync } = require("node:fs");
const { join } = require("node:path");
const { parentPort, workerData } = require("node:worker_threads");
const { folder, behaviours, behaviour, commit } = workerData;
const mode = () => behaviours[Atomics.load(behaviour, 0)];
let [seen, asked, leases] = [[], new Set(), new Map()];
const server = createServer((request, response) => {
  const url = new URL(request.url, "http://server");
  seen.push({ path: url.pathname + url.search, range: request.headers.range, token: request.headers.authorization });
  const send = (status, headers, body) => response.writeHead(status, headers).end(body);
  if (url.pathname === "/api/datasets/acme/words/revision/main") {
    return send(200, { "content-type": "application/json" }, JSON.stringify({ _id: "1", id: "acme/words", sha: commit, lastModified: "2025-01-01T00:00:00Z" }));
  }
  if (mode() === "dead") return response.destroy();
  let path = url.pathname;
  const resolve = "/datasets/acme/words/resolve/" + commit + "/";
  if (path.startsWith(resolve)) {
    if (path.endsWith(".bin")) {
      const lease = leases.size;
      leases.set(String(lease), 3);
      return send(302, { location: "http://localhost:" + server.address().port + "/storage/" + path.slice(resolve.length) + "?lease=" + lease });
    }
    path = "/" + path.slice(resolve.length);
  } else if (path.startsWith("/storage/")) {
    const lease = url.searchParams.get("lease");
    const left = leases.get(lease);
    if (mode() === "expiring" && left === 0) return send(403, {});
    leases.set(lease, left - 1);
    path = path.slice("/storage".length);
  }
  const file = join(folder, path);
  if (!existsSync(file) || !statSync(file).isFile()) return send(404, {});
  const size = statSync(file).size;
  const key = mode() + file + request.headers.range;
  const isFirst = !asked.has(key);
  asked.add(key);
  if (mode() === "busy" && isFirst) return send(503, { "retry-after": "0" });
  const [, first, last] = /^bytes=(\\d+)-(\\d+)$/.exec(request.headers.range ?? "") ?? [];
  if (first === undefined || mode() === "whole") return send(200, {}, readFileSync(file));
  let part = Buffer.alloc(Math.min(size, Number(last) + 1) - first);
  const fd = openSync(file);
  readSync(fd, part, 0, part.length, Number(first));
  closeSync(fd);
  const total = mode() === "larger" ? size + 1 : size;
  const from = mode() === "shifted" ? Number(first) + 2 : first;
  if (mode() === "endless") part = Buffer.concat([part, part]);
  if (mode() === "short") part = part.subarray(1);
  const headers = { "content-range": "bytes " + from + "-" + last + "/" + total };
  if (mode() === "cut" && isFirst) {
    response.writeHead(206, { ...headers, "content-length": part.length });
    return response.write(part.subarray(0, part.length / 2), () => response.destroy());
  }
  setTimeout(() => send(206, headers, part), mode() === "slow" ? 40 : 0);
});
server.listen(0, () => parentPort.postMessage(server.address().port));
parentPort.on("message", () => {
  parentPort.postMessage(seen);
  seen = [];
});
`;

/** Serves a folder. */
export async function serveFolder(folder: string): Promise<FixtureServer> {
  const behaviour = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(code, { eval: true, workerData: { folder, behaviours, behaviour, commit } });
  const next = <T>() => new Promise<T>((resolve) => worker.once("message", resolve));
  const port = await next<number>();
  return {
    url: `http://127.0.0.1:${port}`,
    behave: (name) => void Atomics.store(behaviour, 0, behaviours.indexOf(name)),
    seen: () => {
      const answer = next<SeenRequest[]>();
      worker.postMessage(null);
      return answer;
    },
    close: async () => {
      await worker.terminate();
    },
  };
}
