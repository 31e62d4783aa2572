// Where the launchers of a run agree: node 0's serves a socket, every launcher (its own too) joins, and all are told when to
// start their ranks, when to end them and what came of the run. Messages are lines of JSON. A launcher that is not heard of
// counts as lost with its ranks.

import { randomUUID } from "node:crypto";
import { createServer, connect as openSocket, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { exitStatus } from "../terminal/exit-status.js";
import type { Start } from "./local-ranks.js";
import { type RankEnd, verdict } from "./verdict.js";

/** What a launcher says. */
type FromNode =
  | { kind: "join"; node: number; nodes: number; processes: number }
  | { kind: "alive" }
  /** A rank has failed. */
  | { kind: "failure" }
  /** All ranks of the node have ended. */
  | { kind: "ended"; ends: RankEnd[]; wasTold: boolean };

/** What it hears. */
export type FromMeeting =
  | { kind: "alive" }
  | { kind: "start"; start: Start }
  /** A rank of another node has failed: end yours. */
  | { kind: "end" }
  | { kind: "finish"; status: number; text: string };

const BEAT_MS = 2000;
const RETRY_MS = 200;
const MOST_LINE = 1_000_000;

export interface MeetingOptions {
  nodes: number;
  /** Nodes that are enough to start with when the others have not come in time. */
  minNodes: number;
  maxRestarts: number;
  /** How long the nodes that lack are waited for. */
  joinMs: number;
  /** A launcher that is silent for so long is lost. */
  silenceMs: number;
  /** Host of rank 0's store, by which the ranks of all nodes reach it. */
  masterHost: string;
  /** Its port. */
  masterPort: () => Promise<number>;
  note: (text: string) => void;
}

interface Member {
  node: number;
  processes: number;
  connection: Connection<FromMeeting, FromNode>;
  /** It runs ranks of the present start. */
  isIn: boolean;
}

export class Meeting {
  readonly #options: MeetingOptions;
  readonly #id = randomUUID().slice(0, 8);
  readonly #members = new Map<number, Member>();
  readonly #server: Server;
  readonly #watch: NodeJS.Timeout;
  #state: "gathering" | "starting" | "running" | "finished" = "gathering";
  #gatheringTimer: NodeJS.Timeout | undefined;
  #restart = 0;
  #ends: RankEnd[] = [];
  #wasTold = false;
  #size = 0;

  constructor(options: MeetingOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#meet(socket));
    this.#watch = setInterval(() => {
      for (const { connection } of this.#members.values()) connection.beat({ kind: "alive" });
    }, BEAT_MS);
    this.#gather();
  }

  /** Begins to serve; resolves with the port. */
  listen(host: string | undefined, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as { port: number }).port));
    });
  }

  /** Ends when all have been told what came of it. */
  async close(): Promise<void> {
    clearInterval(this.#watch);
    clearTimeout(this.#gatheringTimer);
    await Promise.all([...this.#members.values()].map(({ connection }) => connection.end()));
    this.#server.close();
  }

  #meet(socket: Socket): void {
    let member: Member | undefined;
    const connection = new Connection<FromMeeting, FromNode>(socket, this.#options.silenceMs, {
      onMessage: (message) => {
        if (message.kind === "join") member ??= this.#join(message, connection);
        else if (member) this.#hear(member, message);
      },
      onLost: () => member && this.#lose(member),
    });
  }

  #join(join: FromNode & { kind: "join" }, connection: Member["connection"]): Member | undefined {
    const { node, nodes, processes } = join;
    const refuse = (text: string) => {
      connection.send({ kind: "finish", status: exitStatus.badInput, text });
      void connection.end();
      return undefined;
    };
    if (this.#state === "finished") return refuse("the run is over");
    if (nodes !== this.#options.nodes || !(node >= 0 && node < nodes) || !(processes >= 1)) {
      return refuse(
        `expected --nodes ${this.#options.nodes} as node 0 has it, and a --node-rank below it, got ${nodes} and ${node}`,
      );
    }
    if (this.#members.has(node)) return refuse(`expected one launcher with --node-rank ${node}, got a second one`);
    const member: Member = { node, processes, connection, isIn: false };
    this.#members.set(node, member);
    if (this.#state === "running") this.#options.note(`node ${node} has come; it takes part from the next start on`);
    else void this.#startIfAllCame();
    return member;
  }

  #hear(member: Member, message: FromNode): void {
    if (message.kind === "failure") this.#endAll(member);
    if (message.kind === "ended" && member.isIn) {
      this.#ends.push(...message.ends);
      this.#wasTold ||= message.wasTold;
      this.#leave(member);
    }
  }

  #lose(member: Member): void {
    this.#members.delete(member.node);
    if (!member.isIn || this.#state !== "running") return;
    this.#ends.push({ rank: -1, code: null, what: `node ${member.node} was lost`, isAfterwards: false });
    this.#endAll(member);
    this.#leave(member);
  }

  #endAll(but: Member): void {
    for (const other of this.#members.values()) if (other.isIn && other !== but) other.connection.send({ kind: "end" });
  }

  /** A node has no more ranks of this start; the last one decides what comes next. */
  #leave(member: Member): void {
    member.isIn = false;
    if ([...this.#members.values()].some(({ isIn }) => isIn)) return;
    const { maxRestarts, note } = this.#options;
    const next = verdict(this.#ends, this.#wasTold, maxRestarts - this.#restart);
    if (next.kind === "finish") {
      const left =
        next.why && maxRestarts > 0 && this.#restart === maxRestarts
          ? `, after ${counted(maxRestarts, "restart")}`
          : "";
      this.#finish(next.status, next.why ? `${next.why.what}${left}` : "");
    } else {
      this.#restart++;
      note(`${next.why.what}; all ranks are started anew (${this.#restart} of ${maxRestarts})`);
      this.#gather();
    }
  }

  #gather(): void {
    const { joinMs, minNodes, nodes } = this.#options;
    this.#state = "gathering";
    clearTimeout(this.#gatheringTimer);
    this.#gatheringTimer = setTimeout(() => {
      if (this.#state !== "gathering") return;
      const there = this.#members.size;
      if (there >= minNodes && this.#members.has(0)) void this.#start();
      else
        this.#finish(
          exitStatus.lostPeer,
          `expected ${minNodes === nodes ? "" : "at least "}${counted(minNodes, "node")} within ${joinMs / 1000} s, got ${there}`,
        );
    }, joinMs);
    void this.#startIfAllCame();
  }

  async #startIfAllCame(): Promise<void> {
    if (this.#state === "gathering" && this.#members.size === this.#options.nodes) await this.#start();
  }

  /** NOTE: ranks are counted anew at each start, without gaps, in the order of nodes. */
  async #start(): Promise<void> {
    clearTimeout(this.#gatheringTimer);
    this.#state = "starting";
    const { masterHost, masterPort, nodes, note } = this.#options;
    const master = { host: masterHost, port: await masterPort() };
    const members = [...this.#members.values()].sort((a, b) => a.node - b.node);
    const size = members.reduce((sum, { processes }) => sum + processes, 0);
    if (members.length < nodes)
      note(`${members.length} of ${nodes} nodes have come: starting with ${counted(size, "rank")}`);
    else if (this.#size !== 0 && this.#size !== size)
      note(`all ${nodes} nodes are there again: starting with ${counted(size, "rank")}`);
    this.#size = size;
    this.#ends = [];
    this.#state = "running";
    let firstRank = 0;
    for (const member of members) {
      member.isIn = true;
      const { connection, processes } = member;
      connection.send({ kind: "start", start: { id: this.#id, restart: this.#restart, size, firstRank, master } });
      firstRank += processes;
    }
  }

  #finish(status: number, text: string): void {
    this.#state = "finished";
    for (const { connection } of this.#members.values()) connection.send({ kind: "finish", status, text });
  }
}

/** Joins the meeting, trying until `joinMs` have passed. Rejects with what the last try ended by. */
export async function joinMeeting(
  { host, port, joinMs, silenceMs }: { host: string; port: number; joinMs: number; silenceMs: number },
  join: FromNode & { kind: "join" },
  hear: { onMessage: (message: FromMeeting) => void; onLost: () => void },
): Promise<Connection<FromNode, FromMeeting>> {
  const until = performance.now() + joinMs;
  for (;;) {
    try {
      const socket = await new Promise<Socket>((resolve, reject) => {
        const trial = openSocket({ host, port }, () => resolve(trial)).once("error", reject);
      });
      const connection = new Connection<FromNode, FromMeeting>(socket, silenceMs, hear);
      connection.send(join);
      const beat = setInterval(() => connection.beat({ kind: "alive" }), BEAT_MS);
      socket.on("close", () => clearInterval(beat));
      return connection;
    } catch (error) {
      if (performance.now() > until) {
        throw new Error(
          `launch: expected node 0's launcher at ${host}:${port} within ${joinMs / 1000} s, got none\n` +
            "Start it there with the same --rendezvous, and see whether this machine reaches that address.",
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** One end of a connection: lines of JSON, and whether the other end is still heard of. */
export class Connection<Out, In> {
  readonly #socket: Socket;
  readonly #silenceMs: number;
  #silentMs = 0;

  constructor(
    socket: Socket,
    silenceMs: number,
    { onMessage, onLost }: { onMessage: (message: In) => void; onLost: () => void },
  ) {
    this.#socket = socket;
    this.#silenceMs = silenceMs;
    let length = 0;
    socket.on("data", (chunk) => {
      this.#silentMs = 0;
      length = chunk.includes(10) ? 0 : length + chunk.length;
      if (length > MOST_LINE) socket.destroy();
    });
    createInterface({ input: socket }).on("line", (line) => {
      const message = parseMessage<In>(line);
      if (message) onMessage(message);
      else socket.destroy(); // not one of ours
    });
    socket.on("error", () => {}); // "close" comes after it
    socket.once("close", onLost);
  }

  send(message: Out): void {
    this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  /** To be called every `BEAT_MS`. */
  beat(message: Out): void {
    this.#silentMs += BEAT_MS;
    if (this.#silentMs > this.#silenceMs) this.#socket.destroy();
    else this.send(message);
  }

  /** Closes it when what was sent has been taken. */
  end(): Promise<void> {
    return new Promise((resolve) => (this.#socket.destroyed ? resolve() : this.#socket.end(() => resolve())));
  }
}

/** "1 rank", "2 ranks". */
export const counted = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

function parseMessage<In>(line: string): In | undefined {
  try {
    const message = JSON.parse(line);
    return typeof message?.kind === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}
