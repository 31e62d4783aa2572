// The ranks on this machine during one start of a run: child processes, each in a process group of its own (so that Ctrl-C
// reaches them through the launcher alone), with the variables that torchrun sets. Rank 0 of the world writes to our own
// output; the lines of the others come with their number.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createInterface } from "node:readline";
import type { CoreGroups } from "./core-groups.js";
import { isFailure, type RankEnd } from "./verdict.js";

/** One start of the world, the same on all machines but for `firstRank`. */
export interface Start {
  /** Of the whole launch. */
  id: string;
  /** Starts before this one. */
  restart: number;
  size: number;
  firstRank: number;
  master: { host: string; port: number };
}

export interface RankOptions {
  /** Program and arguments. */
  command: readonly string[];
  processes: number;
  cores: CoreGroups | undefined;
  /** From SIGTERM to SIGKILL where another rank has failed. */
  graceMs: number;
  /** A rank that had given signs of life and gives none for so long counts as hung; the launcher's own pauses do not count. */
  silenceMs: number;
  /** At the first rank that fails by itself. */
  onFailure: () => void;
}

const TICK_MS = 500;

/** What a rank inherits of other launchers would mislead it. */
const foreign = /^(TORCHELASTIC_|GROUP_|ROLE_|PET_|(OMPI|MV2)_COMM_WORLD_|PMI_|MPI_LOCAL)/;

interface Rank {
  rank: number;
  child: ChildProcess;
  isRunning: boolean;
  /** Ticks since the last sign of life; undefined before the first. */
  silentTicks: number | undefined;
  isHung: boolean;
  isEnded: boolean;
}

export class LocalRanks {
  /** How all of them ended, when all have. */
  readonly ended: Promise<RankEnd[]>;
  readonly #options: RankOptions;
  readonly #ranks: Rank[];
  readonly #ends: RankEnd[] = [];
  #killTimer: NodeJS.Timeout | undefined;

  constructor(start: Start, options: RankOptions) {
    this.#options = options;
    this.#ranks = Array.from({ length: options.processes }, (_, local) => spawnRank(start, local, options));
    const watch = setInterval(() => this.#tick(), TICK_MS);
    const all = this.#ranks.map((rank) => this.#follow(rank));
    this.ended = Promise.all(all).then(() => {
      clearInterval(watch);
      clearTimeout(this.#killTimer);
      return this.#ends;
    });
  }

  /** Passes a signal on, once to each. */
  signal(name: NodeJS.Signals): void {
    for (const { child, isRunning } of this.#ranks) if (isRunning) signalGroup(child, name);
  }

  /** Ends those that run, because a rank somewhere has failed. */
  end(): void {
    if (this.#killTimer) return;
    for (const rank of this.#ranks) rank.isEnded ||= rank.isRunning;
    this.signal("SIGTERM");
    this.#killTimer = setTimeout(() => this.signal("SIGKILL"), this.#options.graceMs);
  }

  #follow(rank: Rank): Promise<void> {
    const { child } = rank;
    child.on("message", () => {
      rank.silentTicks = 0;
    });
    return new Promise((resolve) => {
      const end = (code: number | null, how: string) => {
        if (!rank.isRunning) return;
        rank.isRunning = false;
        this.#ends.push({ rank: rank.rank, code, what: `rank ${rank.rank} ${how}`, isAfterwards: rank.isEnded });
        if (!isFailure(code) || rank.isEnded) return;
        this.#options.onFailure();
        this.end();
      };
      child.on("exit", (code, signal) => {
        const hung = rank.isHung
          ? `gave no sign of life for ${this.#options.silenceMs / 1000} s and was ended by `
          : "ended by ";
        end(code, signal ? `${hung}${signal}` : `ended with status ${code}`);
        signalGroup(child, "SIGKILL"); // what it left behind
      });
      child.on("error", ({ message }) => {
        end(127, `could not be started: ${message}`);
        resolve();
      });
      child.on("close", () => resolve());
    });
  }

  /** NOTE: a stopped process takes SIGTERM only when it goes on, but SIGKILL at once. */
  #tick(): void {
    for (const rank of this.#ranks) {
      if (rank.silentTicks === undefined || !rank.isRunning || ++rank.silentTicks * TICK_MS < this.#options.silenceMs)
        continue;
      rank.isHung = true;
      signalGroup(rank.child, "SIGKILL");
    }
  }
}

function spawnRank(start: Start, local: number, { command, processes, cores }: RankOptions): Rank {
  const rank = start.firstRank + local;
  const own = cores?.groups?.[local];
  const [program, ...args] = own ? ["taskset", "-c", own.join(","), ...command] : command;
  const inherited = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const child = spawn(program!, args, {
    env: {
      ...(cores && { OMP_NUM_THREADS: `${cores.threads}` }),
      ...Object.fromEntries(inherited),
      RANK: `${rank}`,
      WORLD_SIZE: `${start.size}`,
      LOCAL_RANK: `${local}`,
      LOCAL_WORLD_SIZE: `${processes}`,
      MASTER_ADDR: start.master.host,
      MASTER_PORT: `${start.master.port}`,
      NEOBERT_LAUNCH: start.id,
      NEOBERT_RESTART: `${start.restart}`,
    },
    detached: true,
    stdio: rank === 0 ? ["ignore", "inherit", "inherit", "ipc"] : ["ignore", "pipe", "pipe", "ipc"],
  });
  for (const [from, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const) {
    // A line of rank 0's that a terminal shows rewritten is cleared first.
    const before = process.stderr.isTTY ? "\r\u001b[K" : "";
    if (from) createInterface({ input: from }).on("line", (line) => to.write(`${before}[${rank}] ${line}\n`));
  }
  return { rank, child, isRunning: true, silentTicks: undefined, isHung: false, isEnded: false };
}

function signalGroup({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {} // gone
}

/** Whether processes can be bound to cores here: by util-linux' taskset. */
export function canBind(): boolean {
  return spawnSync("taskset", ["-p", `${process.pid}`]).status === 0;
}
