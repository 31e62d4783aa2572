// The page that a browser gets at /, and its files. They are named here, so no path of a request reaches the file system. The
// page may use itself alone: no other host, no inline script or style, no frame around it.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { RequestError } from "./request-error.js";
import type { Context, Route } from "./route.js";
import { health } from "./status-routes.js";

/** From the source and from what is compiled of it. */
const folder = new URL("../../dist/page/", import.meta.url);

const script = "text/javascript; charset=utf-8";
const files = {
  "page.js": script,
  "projection-worker.js": script,
  "parquet-worker.js": script,
  "style.css": "text/css; charset=utf-8",
  "licences.txt": "text/plain; charset=utf-8",
};

const policy = [
  "default-src 'none'",
  ...["script-src", "style-src", "connect-src", "worker-src"].map((kind) => `${kind} 'self'`),
  "img-src data:",
  ...["base-uri", "form-action", "frame-ancestors"].map((kind) => `${kind} 'none'`),
].join("; ");

const read = new Map<string, { bytes: Buffer<ArrayBuffer>; etag: string }>();

function fileResponse(name: string, type: string, { headers }: Context): Response {
  const { bytes, etag } = read.get(name) ?? readPageFile(name);
  const own = {
    "cache-control": "no-cache",
    "content-security-policy": policy,
    etag,
    "referrer-policy": "no-referrer",
    vary: "accept",
    "x-content-type-options": "nosniff",
  };
  if (headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers: own });
  return new Response(bytes, { headers: { ...own, "content-type": type } });
}

function readPageFile(name: string): { bytes: Buffer<ArrayBuffer>; etag: string } {
  try {
    const bytes = readFileSync(new URL(name, folder));
    const file = { bytes, etag: `"${createHash("sha256").update(bytes).digest("base64url")}"` };
    read.set(name, file);
    return file;
  } catch (cause) {
    throw new RequestError("notFound", "page: expected its files in the package, got none\nRun npm run build.", {
      cause,
    });
  }
}

const get = { method: "GET", family: "tei", isOpen: true } as const;

export const pageRoutes: readonly Route[] = [
  {
    ...get,
    paths: ["/"],
    summary: "The page, for who accepts text/html; else as /health.",
    run: (_: unknown, __: unknown, context: Context) =>
      /\btext\/html\b/.test(context.headers.get("accept") ?? "")
        ? fileResponse("index.html", "text/html; charset=utf-8", context)
        : health(_, __, context),
  },
  ...Object.entries(files).map(([name, type]) => ({
    ...get,
    paths: [`/page/${name}`],
    summary: "Of the page.",
    isHidden: true,
    run: (_: unknown, __: unknown, context: Context) => fileResponse(name, type, context),
  })),
];
