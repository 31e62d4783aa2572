// `neobert launch --processes N -- COMMAND ...`: thin over `launch`. Its status is that of the run (terminal/exit-status.ts).

import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { InputError } from "../files/input-error.js";
import { launch } from "../launch/launch.js";
import { positive, wholeNumber } from "./option-values.js";

const program = fileURLToPath(new URL("../../bin/neobert.js", import.meta.url));

interface Flags {
  processes: number;
  nodes: number;
  nodeRank: number;
  rendezvous?: { host: string; port: number };
  minNodes?: number;
  maxRestarts: number;
  bind: boolean;
  grace: number;
  silence: number;
  joinTimeout: number;
}

export function launchCommand(): Command {
  return new Command("launch")
    .description(
      "Starts a command as several processes that train one model together, each on cores of its own, and keeps " +
        "them going: where one dies or hangs, all start anew from the last checkpoint.",
    )
    .argument("<command...>", "after --: the command without `neobert`, such as pretrain RUN.yaml --resume")
    .requiredOption("--processes <n>", "processes on this machine", positive)
    .option("--nodes <n>", "machines; start this command on each", positive, 1)
    .option("--node-rank <n>", "which of them this is, from 0", wholeNumber, 0)
    .option("--rendezvous <host:port>", "address of node 0 that all reach; its ranks take the next port", address)
    .option("--min-nodes <n>", "go on with so many when others do not come (default: all of --nodes)", positive)
    .option("--max-restarts <n>", "how often all are started anew", wholeNumber, 3)
    .option("--join-timeout <seconds>", "how long machines that lack are waited for", positive, 300)
    .option("--grace <seconds>", "from SIGTERM to SIGKILL, where another process has failed", positive, 30)
    .option("--silence <seconds>", "a process or machine that gives no sign of life for so long is lost", positive, 60)
    .option("--no-bind", "leave the choice of cores to the system")
    .action(run);
}

async function run(command: string[], flags: Flags): Promise<void> {
  const {
    processes,
    nodes,
    nodeRank,
    rendezvous,
    minNodes = nodes,
    maxRestarts,
    bind,
    grace,
    silence,
    joinTimeout,
  } = flags;
  if (nodes > 1 && !rendezvous) {
    throw new InputError(
      "launch: expected --rendezvous HOST:PORT with --nodes, got none\nIt is an address of node 0 that the others reach.",
    );
  }
  if (nodeRank >= nodes || minNodes > nodes) {
    throw new InputError(
      `launch: expected --node-rank below --nodes ${nodes} and --min-nodes up to it, got ${nodeRank} and ${minNodes}\nNodes are counted from 0.`,
    );
  }
  process.exitCode = await launch({
    command: [process.execPath, ...process.execArgv, program, ...command],
    ...{ processes, nodes, nodeRank, rendezvous, minNodes, maxRestarts, bind },
    graceMs: grace * 1000,
    silenceMs: silence * 1000,
    joinMs: joinTimeout * 1000,
    note: (text) => console.error(`launch: ${text}`),
  });
}

function address(value: string): { host: string; port: number } {
  const [, host, port] = /^\[?([^\s[\]]+?)\]?:(\d{1,5})$/.exec(value) ?? [];
  if (host !== undefined && Number(port) >= 1 && Number(port) < 65_535) return { host, port: Number(port) };
  throw new InvalidArgumentError(`Expected HOST:PORT, got "${value}".`);
}
