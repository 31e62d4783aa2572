// The service behind node:http: each request as a Web `Request` whose signal tells that the client has gone, each `Response`
// written back, and an end in order: no new requests, those that have begun answered, then closed.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { type HandlerOptions, serveOptions, settingsOf } from "./serve-options.js";
import { type Models, Service } from "./service.js";
import { loadCl100k } from "./token-ids.js";

const listenOptions = z.strictObject({
  /** Address to listen on; default 127.0.0.1: this machine alone. */
  hostname: z.string().min(1).default("127.0.0.1"),
  /** 0: any that is free. */
  port: z.int().min(0).max(65535).default(3000),
  /** Milliseconds that `close` waits for requests that have begun. */
  drainTimeoutMs: z.int().min(0).default(30_000),
  /** Milliseconds that a client may take to send the head of a request, and the whole of it. */
  headersTimeoutMs: z.int().min(1).default(10_000),
  requestTimeoutMs: z.int().min(1).default(60_000),
});

export type ServerOptions = HandlerOptions & z.input<typeof listenOptions>;

/** Milliseconds that a client may take nothing of an answer. */
const SLOW_READER_MS = 60_000;
/** Milliseconds of a connection between requests; balancers often hold theirs for 60 s, and must be the first to end it. */
const KEEP_ALIVE_MS = 65_000;
/** Bytes of a body that wait to be read. */
const BODY_AHEAD = 2 ** 16;

export interface RunningServer {
  url: string;
  /**
   * Takes no further requests, waits for those that have begun, at most `drainTimeoutMs`, and closes. The models stay
   * loaded. True where all were answered.
   */
  close(): Promise<boolean>;
}

/**
 * Serves models over HTTP; until the promise of them resolves, with 503. Rejects where it cannot listen, or an option is
 * wrong.
 */
export async function serve(models: Models | Promise<Models>, options: ServerOptions = {}): Promise<RunningServer> {
  const { hostname, port, drainTimeoutMs, headersTimeoutMs, requestTimeoutMs, ...handling } = options;
  const listening = settingsOf(
    listenOptions,
    defined({ hostname, port, drainTimeoutMs, headersTimeoutMs, requestTimeoutMs }),
  );
  if (settingsOf(serveOptions, handling).tokenIds === "cl100k") await loadCl100k();
  const service = new Service(models, handling);
  const server = createServer(
    {
      headersTimeout: listening.headersTimeoutMs,
      requestTimeout: Math.max(listening.requestTimeoutMs, listening.headersTimeoutMs),
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(1000, listening.headersTimeoutMs),
    },
    (incoming, outgoing) => {
      respond(service, incoming, outgoing).catch((error) => {
        outgoing.destroy(error as Error);
      });
    },
  );
  await listen(server, listening.port, listening.hostname);
  const { address, family, port: boundPort } = server.address() as AddressInfo;
  let closing: Promise<boolean> | undefined;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${boundPort}`,
    close: () => {
      closing ??= close(server, service, listening.drainTimeoutMs);
      return closing;
    },
  };
}

function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof defined<T>
  >;
}

function listen(server: Server, port: number, hostname: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      const message = `serve: expected a free port, got ${port} of ${hostname}, which is taken\nPass another port; 0 is any.`;
      reject(isTaken ? new Error(message, { cause: error }) : error);
    };
    server.once("error", refuse);
    server.listen(port, hostname, () => {
      server.off("error", refuse);
      resolve();
    });
  });
}

async function close(server: Server, service: Service, drainTimeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), drainTimeoutMs);
  });
  // A connection whose answer was on its way when the drain began is idle afterwards, and would stay for its keep-alive time.
  const sweep = setInterval(() => !server.listening && server.closeIdleConnections(), 100);
  // Until all are answered the server listens, and says 503. Closing ends connections without a request; others end behind
  // their answer.
  const closed = () => new Promise<true>((resolve) => server.close(() => resolve(true)));
  const isAnswered = await Promise.race([service.drain().then(closed), late]);
  clearTimeout(timer);
  clearInterval(sweep);
  if (!isAnswered) {
    const end = closed();
    server.closeAllConnections();
    await end;
  }
  return isAnswered;
}

async function respond(service: Service, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort(new Error("the client has gone away"));
  });
  const { body, drop } = bodyOf(incoming);
  const request = webRequest(incoming, body, gone.signal);
  const response = request ? await service.answer(request) : new Response(null, { status: 400 });
  drop();
  if (outgoing.destroyed) return;
  const bytes = Buffer.from(await response.arrayBuffer());
  outgoing.setTimeout(SLOW_READER_MS, () => outgoing.destroy());
  if (response.status !== 204 && response.status !== 304) response.headers.set("content-length", `${bytes.length}`);
  if (service.isDraining) response.headers.set("connection", "close");
  outgoing.writeHead(response.status, [...response.headers].flat());
  outgoing.end(incoming.method === "HEAD" ? undefined : bytes);
}

/** Undefined where the head is no request: a method or an address that there is not. */
function webRequest(incoming: IncomingMessage, body: ReadableStream, signal: AbortSignal): Request | undefined {
  const { method = "GET", rawHeaders, url = "/" } = incoming;
  try {
    const headers = new Headers();
    for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
    const hasBody = method !== "GET" && method !== "HEAD";
    // The path is all that is asked of the address, whatever host a client names.
    const address = new URL(`http://localhost${url.startsWith("/") ? url : new URL(url).pathname}`);
    return new Request(address, { method, headers, signal, ...(hasBody && { body, duplex: "half" }) });
  } catch {
    return undefined;
  }
}

/** The bytes of a request as a stream; after `drop`, what is left of them is read past. */
function bodyOf(incoming: IncomingMessage): { body: ReadableStream<Uint8Array>; drop(): void } {
  let isDropped = false;
  const drop = () => {
    if (isDropped) return;
    isDropped = true;
    incoming.removeAllListeners("data");
    incoming.resume();
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        incoming.on("data", (chunk: Buffer) => {
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) incoming.pause();
        });
        incoming.pause();
        incoming.once("end", () => !isDropped && controller.close());
        incoming.once("error", (error) => !isDropped && controller.error(error));
      },
      pull() {
        if (!isDropped) incoming.resume();
      },
      cancel: drop,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BODY_AHEAD }),
  );
  return { body, drop };
}
