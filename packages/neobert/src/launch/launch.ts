// `launch`: starts the ranks of a run on this machine and keeps them going with the launchers of the other machines. One that
// dies or hangs ends all, and all start anew, as often as it may be.

import { type AddressInfo, createServer } from "node:net";
import { constants } from "node:os";
import { exitStatus } from "../terminal/exit-status.js";
import { type CoreGroups, coreGroups } from "./core-groups.js";
import { canBind, LocalRanks, type Start } from "./local-ranks.js";
import { counted, type FromMeeting, joinMeeting, Meeting } from "./meeting.js";

export interface LaunchOptions {
  /** Program and arguments of every rank. */
  command: readonly string[];
  /** Ranks on this machine. */
  processes: number;
  /** Machines; each has a launcher. */
  nodes: number;
  nodeRank: number;
  /** Address of node 0, which all reach; its port for the launchers, the next one for the ranks. Undefined for one machine. */
  rendezvous?: { host: string; port: number } | undefined;
  minNodes: number;
  maxRestarts: number;
  /** Each rank on cores of its own. */
  bind: boolean;
  graceMs: number;
  silenceMs: number;
  joinMs: number;
  /** Takes lines for a person. */
  note: (text: string) => void;
}

const signals = ["SIGINT", "SIGTERM"] as const;

/** Runs to the end; resolves with the status that says what came of it. */
export async function launch(options: LaunchOptions): Promise<number> {
  const { rendezvous, nodes, nodeRank, minNodes, maxRestarts, processes, joinMs, silenceMs, note } = options;
  const { host, port } = rendezvous ?? { host: "127.0.0.1", port: 0 };
  let meeting: Meeting | undefined;
  let meetingPort = port;
  if (nodeRank === 0) {
    const masterPort = rendezvous ? async () => port + 1 : freePort;
    meeting = new Meeting({ nodes, minNodes, maxRestarts, joinMs, silenceMs, masterHost: host, masterPort, note });
    meetingPort = await meeting.listen(rendezvous ? undefined : host, port).catch((error) => {
      throw new Error(
        `launch: expected port ${port} to be free for the launchers, got ${error.code}\nGive all of them another port in --rendezvous.`,
        { cause: error },
      );
    });
  }
  const at = { host: meeting ? "127.0.0.1" : host, port: meetingPort, joinMs, silenceMs };
  const node = new Node(options);
  try {
    return await node.run((hear) => joinMeeting(at, { kind: "join", node: nodeRank, nodes, processes }, hear));
  } finally {
    await meeting?.close();
  }
}

type Join = (hear: Parameters<typeof joinMeeting>[2]) => ReturnType<typeof joinMeeting>;

/** One machine's part: its ranks, as the meeting says. */
class Node {
  readonly #options: LaunchOptions;
  readonly #cores: CoreGroups | undefined;
  #connection: Awaited<ReturnType<Join>> | undefined;
  #ranks: LocalRanks | undefined;
  #toldBy: NodeJS.Signals | undefined;
  #isForced = false;
  #isLost = false;
  #finish: (status: number) => void = () => {};

  constructor(options: LaunchOptions) {
    this.#options = options;
    this.#cores = options.bind ? divideCores(options) : undefined;
  }

  /** Ends with the run, by its status. */
  async run(join: Join): Promise<number> {
    const tell = (name: NodeJS.Signals) => this.#tell(name);
    for (const name of signals) process.on(name, tell);
    try {
      return await new Promise<number>((resolve, reject) => {
        this.#finish = resolve;
        join({ onMessage: (message) => this.#hear(message), onLost: () => this.#lose() }).then((connection) => {
          this.#connection = connection;
        }, reject);
      });
    } finally {
      for (const name of signals) process.off(name, tell);
      await this.#connection?.end();
    }
  }

  /** The first time asks the ranks to stop, which run as long as they need for it; the second ends them at once. */
  #tell(name: NodeJS.Signals): void {
    if (!this.#ranks) this.#finish(statusOfSignal(name));
    else if (!this.#toldBy) this.#ranks.signal(name);
    else {
      this.#isForced = true;
      this.#ranks.signal("SIGKILL");
    }
    this.#toldBy ??= name;
  }

  #hear(message: FromMeeting): void {
    if (message.kind === "start") void this.#start(message.start);
    if (message.kind === "end") this.#ranks?.end();
    if (message.kind === "finish") {
      if (message.text !== "") this.#options.note(message.text);
      this.#finish(message.status);
    }
  }

  async #start(start: Start): Promise<void> {
    const { command, processes, graceMs, silenceMs } = this.#options;
    const onFailure = () => this.#connection!.send({ kind: "failure" });
    this.#ranks = new LocalRanks(start, { command, processes, cores: this.#cores, graceMs, silenceMs, onFailure });
    const ended = await this.#ranks.ended;
    this.#ranks = undefined;
    const forced = this.#isForced ? { code: statusOfSignal(this.#toldBy!) } : {};
    const ends = ended.map((end) => ({ ...end, ...forced }));
    if (this.#isLost) this.#finish(exitStatus.lostPeer);
    else this.#connection!.send({ kind: "ended", ends, wasTold: this.#toldBy !== undefined });
  }

  /** The launcher of node 0 is gone, and rank 0 with it or soon. */
  #lose(): void {
    this.#isLost = true;
    if (this.#ranks) {
      this.#options.note("node 0's launcher was lost; the ranks here are ended");
      this.#ranks.end();
    } else this.#finish(exitStatus.lostPeer);
  }
}

const statusOfSignal = (name: NodeJS.Signals) => 128 + constants.signals[name];

function divideCores({ processes, note }: LaunchOptions): CoreGroups {
  const { threads, groups } = coreGroups(processes);
  const isBound = groups !== undefined && canBind();
  note(`${counted(processes, "rank")} here, ${counted(threads, "core")} each${isBound ? "" : ", bound to none"}`);
  return { threads, groups: isBound ? groups : undefined };
}

/** A port of this machine that nobody listens on, a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
