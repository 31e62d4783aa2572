// What the launcher of a process says, by variables, of the world that it is one rank of: torchrun, `neobert launch`, PyTorchJob
// (RANK and its like), Open MPI, MVAPICH, PMI (MPICH, Intel), Slurm's srun, Kubernetes' Indexed Job. The one nearest to the
// process wins: RANK over MPI over Slurm over Kubernetes, and those that speak of a world of the same size must agree with it.
//   https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables
//   https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
// NOTE: a Slurm job's shell is no rank. In one that salloc or `srun --pty` opened the step has one task, or there is no step;
// the batch script has SLURM_PROCID=0 without a step. What is started there without srun runs alone.

import { InputError } from "../../files/input-error.js";
import { type Part, parsePart } from "../../files/part.js";

export type LauncherName = "torchrun" | "neobert launch" | "environment" | keyof typeof others;

/** A process' place in a world of two or more. */
export interface WorldPlace {
  rank: number;
  size: number;
  /** Among the ranks of its machine, which is also the number of its GPU. */
  localRank: number;
  /** Ranks of its machine; undefined where the launcher does not say. */
  localSize: number | undefined;
  /** Where the store is that all ranks meet at. */
  master: { host: string; port: number };
  /** Whether the launcher's own process serves that store, so that rank 0 is a client too. */
  agentStore: boolean;
  /** How often the world was started before. */
  restart: number;
  /** Of the store's keys: another for every start, as a store may outlive one. */
  prefix: string;
  /** Who started it, for a person. */
  source: LauncherName;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** A launcher's variables; the first one that is set holds. */
interface Variables {
  rank: readonly string[];
  size: readonly string[];
  localRank?: readonly string[];
  localSize?: readonly string[];
  /** Where local ranks are not said: it starts one process a machine or pod. */
  isAlone?: boolean;
}

const plain: Variables = {
  rank: ["RANK"],
  size: ["WORLD_SIZE"],
  localRank: ["LOCAL_RANK"],
  localSize: ["LOCAL_WORLD_SIZE"],
  isAlone: true,
};

const others = {
  openmpi: {
    rank: ["OMPI_COMM_WORLD_RANK"],
    size: ["OMPI_COMM_WORLD_SIZE"],
    localRank: ["OMPI_COMM_WORLD_LOCAL_RANK"],
    localSize: ["OMPI_COMM_WORLD_LOCAL_SIZE"],
  },
  mvapich: {
    rank: ["MV2_COMM_WORLD_RANK"],
    size: ["MV2_COMM_WORLD_SIZE"],
    localRank: ["MV2_COMM_WORLD_LOCAL_RANK"],
    localSize: ["MV2_COMM_WORLD_LOCAL_SIZE"],
  },
  pmi: {
    rank: ["PMI_RANK"],
    size: ["PMI_SIZE"],
    localRank: ["MPI_LOCALRANKID", "SLURM_LOCALID"], // `srun --mpi=pmi2` sets PMI's rank beside Slurm's own
    localSize: ["MPI_LOCALNRANKS"],
  },
  slurm: {
    rank: ["SLURM_PROCID"],
    size: ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"], // of the step; the job may have more
    localRank: ["SLURM_LOCALID"],
  },
  kubernetes: { rank: ["JOB_COMPLETION_INDEX"], size: ["WORLD_SIZE"], isAlone: true },
  kubeflow: { rank: ["PET_NODE_RANK"], size: ["PET_NNODES"], isAlone: true },
} as const satisfies Record<string, Variables>;

interface Numbers {
  rank: number;
  size: number;
  localRank: number;
  localSize: number | undefined;
}

/**
 * The place of a process with these variables, or undefined where it runs alone: no launcher, or a world of one. Throws where
 * variables contradict each other, are set by half or are out of range.
 */
export function worldOf(env: Environment): WorldPlace | undefined {
  const found = claims(env);
  const [first, ...rest] = found;
  if (!first) return undefined;
  const { source, numbers } = first;
  refuseContradictions(env, first, rest);
  if (numbers.size === 1) return undefined;
  return {
    ...numbers,
    source,
    master: masterOf(env, source, numbers),
    agentStore: source === "torchrun" && env.TORCHELASTIC_USE_AGENT_STORE === "True",
    ...startOf(env, source),
  };
}

/** Rank and size alone, for work whose ranks need not meet, a world of one too; undefined without a launcher. Throws as `worldOf`. */
export function rankOf(env: Environment): { rank: number; size: number } | undefined {
  const [first, ...rest] = claims(env);
  if (first) refuseContradictions(env, first, rest);
  return first && { rank: first.numbers.rank, size: first.numbers.size };
}

/** The part of the work that `--part` names: `i/n`, or `rank`. Throws where it is neither. */
export const readPart = (text: string): Part => parsePart(text, () => rankOf(process.env));

interface Claim {
  source: LauncherName;
  names: Variables;
  numbers: Numbers;
}

/** What every launcher that has set variables says, the nearest to the process first. */
function claims(env: Environment): Claim[] {
  const found: Claim[] = [];
  const add = (source: LauncherName, names: Variables) =>
    found.push({ source, names, numbers: read(env, source, names) });
  if (isSet(env, "RANK")) {
    const source = plainSource(env);
    add(source, plain);
    if (source !== "environment") return found; // whatever the launcher itself was started by
  }
  for (const [source, names] of Object.entries(others) as [keyof typeof others, Variables][]) {
    if (isSet(env, names.rank[0]!) && isLaunch(env, source)) add(source, names);
  }
  if (found.length === 0) refuseHalf(env);
  return found;
}

function plainSource(env: Environment): LauncherName {
  if (isSet(env, "NEOBERT_LAUNCH")) return "neobert launch";
  return isSet(env, "TORCHELASTIC_RUN_ID") ? "torchrun" : "environment";
}

/** Whether a launcher's rank means a process of its own world, which that of a batch script, a shell or a pod need not. */
function isLaunch(env: Environment, source: keyof typeof others): boolean {
  if (source === "slurm") return env.ENVIRONMENT !== "BATCH" || isSet(env, "SLURM_STEP_ID");
  if (source === "kubernetes") return isSet(env, "WORLD_SIZE") && !isSet(env, "RANK"); // an Indexed Job of separate pods is none
  if (source === "kubeflow") return !isSet(env, "RANK"); // which torchrun, that these are for, has read
  return true;
}

function read(env: Environment, source: LauncherName, names: Variables): Numbers {
  if (source === "kubeflow") refuseSeveral(env);
  const rankName = names.rank[0]!;
  const rank = wholeNumber(env, rankName);
  const sizeName = firstSet(env, names.size);
  if (!sizeName) throw lacking(names.size[0]!, `${rankName}=${rank}`);
  const size = wholeNumber(env, sizeName, 1);
  if (rank >= size) {
    throw new InputError(
      `world: expected ${rankName} below ${sizeName}=${size}, got ${rank}\n` +
        `Ranks are counted from 0. Start all of the world by one launcher, or unset ${rankName} to run alone.`,
    );
  }
  const { localRank, localSize } = readLocal(env, source, names, size);
  return { rank, size, localRank, localSize };
}

/** Local rank and size: the launcher's own, else LOCAL_RANK's and LOCAL_WORLD_SIZE's. */
function readLocal(env: Environment, source: LauncherName, names: Variables, size: number) {
  const rankName = firstSet(env, [...(names.localRank ?? []), "LOCAL_RANK"]);
  const sizeName = firstSet(env, [...(names.localSize ?? []), "LOCAL_WORLD_SIZE"]);
  if (!rankName && !names.isAlone && size > 1)
    throw lacking(names.localRank?.[0] ?? "LOCAL_RANK", `${names.rank[0]} of ${source}`);
  const localRank = rankName ? wholeNumber(env, rankName) : 0;
  const localSize = sizeName
    ? wholeNumber(env, sizeName, 1)
    : source === "slurm"
      ? slurmTasks(env, localRank)
      : !rankName
        ? 1
        : undefined;
  const most = localSize ?? size;
  if (localRank >= most) {
    throw new InputError(
      `world: expected ${rankName ?? "LOCAL_RANK"} below the ${most} ranks of its machine, got ${localRank}\n` +
        `See what sets ${rankName ?? "LOCAL_RANK"} and ${sizeName ?? "LOCAL_WORLD_SIZE"}.`,
    );
  }
  if (localSize !== undefined && localSize > size) {
    throw new InputError(
      `world: expected at most ${size} ranks on one machine, as the world has, got ${sizeName ?? "tasks of a node"}=${localSize}\n` +
        `See what sets ${sizeName ?? "SLURM_STEP_TASKS_PER_NODE"} and ${names.size[0]}.`,
    );
  }
  return { localRank, localSize };
}

/** Tasks of this node, by the likes of `2(x3),1`; undefined where Slurm does not say, or says it of another node. */
function slurmTasks(env: Environment, localRank: number): number | undefined {
  if (!isSet(env, "SLURM_NODEID")) return undefined;
  const counts = (env.SLURM_STEP_TASKS_PER_NODE ?? "").split(",").flatMap((part) => {
    const [, count, times = "1"] = /^(\d+)(?:\(x(\d{1,6})\))?$/.exec(part) ?? [];
    return count === undefined ? [] : Array.from({ length: Number(times) }, () => Number(count));
  });
  const tasks = counts[wholeNumber(env, "SLURM_NODEID")];
  return tasks !== undefined && tasks > localRank ? tasks : undefined;
}

/** The store's address: MASTER_ADDR and MASTER_PORT, else by Slurm's first node, else of this machine where all ranks are on it. */
function masterOf(env: Environment, source: LauncherName, { size, localSize }: Numbers): WorldPlace["master"] {
  const host =
    env.MASTER_ADDR || env.PET_MASTER_ADDR || slurmHost(env) || (localSize === size ? "127.0.0.1" : undefined);
  if (!host) {
    throw new InputError(
      `world: expected MASTER_ADDR, the host of rank 0, beside the ${size} ranks of ${source}, got none\n` +
        "Set it for every rank, and MASTER_PORT to a port that is free there: mpirun -x MASTER_ADDR=HOST -x MASTER_PORT=29500, " +
        "or env of a pod.",
    );
  }
  const portName = firstSet(env, ["MASTER_PORT", "PET_MASTER_PORT"]);
  if (portName) return { host, port: portNumber(env, portName) };
  const job = /\d{1,4}$/.exec(env.SLURM_JOB_ID ?? "")?.[0];
  return { host, port: job === undefined ? 29500 : 10_000 + Number(job) };
}

/** The first name of a list such as `gpu[03-07,9],cpu1`: `gpu03`. */
function slurmHost(env: Environment): string | undefined {
  const list = env.SLURM_STEP_NODELIST || env.SLURM_JOB_NODELIST || env.SLURM_NODELIST;
  if (!list) return undefined;
  const [first = ""] = /^(?:\[[^\]]*\]|[^,[\]])+/.exec(list) ?? [];
  const host = first.replace(/\[(\d+)[^\]]*\]/g, "$1");
  if (host !== "" && !/[[\]]/.test(host) && /^(,|$)/.test(list.slice(first.length))) return host;
  throw new InputError(
    `world: expected Slurm's list of nodes to be like gpu[01-04,7],cpu1, got "${list}"\n` +
      "Set MASTER_ADDR to the host of rank 0: scontrol show hostnames | head -1",
  );
}

const restartCounts = ["NEOBERT_RESTART", "TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"];

/** Whether a launcher or scheduler started this run before, so that it is to go on and not to begin. */
export function isStartedAgain(env: Environment): boolean {
  return restartCounts.some((name) => isSet(env, name) && wholeNumber(env, name) > 0);
}

function startOf(env: Environment, source: LauncherName): { restart: number; prefix: string } {
  const starts: Record<string, [id: string | undefined, count: string]> = {
    "neobert launch": [env.NEOBERT_LAUNCH, "NEOBERT_RESTART"],
    torchrun: [env.TORCHELASTIC_RUN_ID, "TORCHELASTIC_RESTART_COUNT"],
    slurm: [`${env.SLURM_JOB_ID}.${env.SLURM_STEP_ID}`, "SLURM_RESTART_COUNT"],
  };
  const [id = source, count = ""] = starts[source] ?? [];
  const restart = isSet(env, count) ? wholeNumber(env, count) : 0;
  return { restart, prefix: `neobert/${id}/${restart}` };
}

/** What was exported by hand and is not true of this process, as a RANK or WORLD_SIZE that was left in the shell. */
function refuseContradictions(
  env: Environment,
  { source, numbers: { rank, size } }: Claim,
  rest: readonly Claim[],
): void {
  const conflict = (name: string, expected: string, of: string) =>
    new InputError(
      `world: expected ${name}, if at all, to be ${expected}, as ${of} says, got ${env[name]}\n` +
        `Unset RANK and WORLD_SIZE so that ${of} decides, or start the world by one launcher only.`,
    );
  if (source === "environment") {
    // Of another size: a step of Slurm's that started a launcher on each node.
    const other = rest.find(({ numbers }) => numbers.size === size && numbers.rank !== rank);
    if (other) throw conflict("RANK", `${other.numbers.rank}`, other.source);
  } else if (!isSet(env, "RANK") && isSet(env, "WORLD_SIZE") && wholeNumber(env, "WORLD_SIZE", 1) !== size) {
    throw conflict("WORLD_SIZE", `${size}`, source);
  }
}

/** A size or local rank, which people set beside a launcher's rank, says nothing without any. */
function refuseHalf(env: Environment): void {
  const left = firstSet(env, ["WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"]);
  if (left && !(left === "WORLD_SIZE" && env.WORLD_SIZE === "1")) throw lacking("RANK", `${left}=${env[left]}`);
}

/** Kubeflow's variables are torchrun's options: with several processes a pod, they need a launcher in it. */
function refuseSeveral(env: Environment): void {
  for (const name of ["PET_NPROC_PER_NODE", "PET_NNODES"]) {
    if (name === "PET_NNODES" ? isWhole(env[name]) : env[name] === undefined || env[name] === "1") continue;
    throw new InputError(
      `world: expected ${name} to be ${name === "PET_NNODES" ? "a number" : "1"} for a process that no launcher has started, got "${env[name]}"\n` +
        "Let the pod's command be a launcher: torchrun --no-python neobert ..., which reads it.",
    );
  }
}

function lacking(name: string, beside: string): InputError {
  return new InputError(
    `world: expected ${name} beside ${beside}, got none\n` +
      `A launcher sets both (neobert launch, torchrun, srun, mpirun). Set ${name}, or unset the other to run alone.`,
  );
}

function portNumber(env: Environment, name: string): number {
  const port = wholeNumber(env, name, 1);
  if (port < 65_536) return port;
  throw new InputError(
    `world: expected ${name} to be a port of 1 to 65535, got ${port}\nSet it to a port that is free on the host of rank 0.`,
  );
}

const isWhole = (text: string | undefined) => text !== undefined && /^\d{1,9}$/.test(text);

function wholeNumber(env: Environment, name: string, least = 0): number {
  const text = env[name];
  if (isWhole(text) && Number(text) >= least) return Number(text);
  throw new InputError(
    `world: expected ${name} to be a whole number of ${least} or more, got "${text}"\n` +
      "A launcher sets it (neobert launch, torchrun, srun, mpirun); unset it to run alone.",
  );
}

const isSet = (env: Environment, name: string) => env[name] !== undefined && env[name] !== "";
const firstSet = (env: Environment, names: readonly string[]) => names.find((name) => isSet(env, name));
