// One training step of 6 layers x 768 by two processes of one core each, ours and PyTorch's DistributedDataParallel, and by one of
// ours on two cores: tokens/s, memory and traffic of a rank, share of the communication that the backward pass hides.
// All sides are started once and take turns.
//   npm run bench -- distributed [case ...] [--rounds=3] [--dtypes=fp32,bf16] [--modes=eager,compile]

import { existsSync, readFileSync } from "node:fs";
import { here, inTurns, machine, median, optionsOf, peerPython } from "./measure.mjs";
import { startSide } from "./side.mjs";

/** What a rank takes of a step. */
const cases = {
  "1 x 4x512": { microBatches: 1, batch: 4, length: 512 },
  "4 x 4x512": { microBatches: 4, batch: 4, length: 512 },
};
const { names, rounds, dtypes, modes, layers } = optionsOf(
  { rounds: 3, dtypes: "fp32,bf16", modes: "eager,compile", layers: 6 },
  Object.keys(cases),
);
const RANKS = 2;
let port = 29_600;

/** The processes of one side, which do each task together. */
async function startTeam(size, program, script, options) {
  port++;
  const sides = Array.from({ length: size }, (_, rank) => {
    const world = { RANK: rank, WORLD_SIZE: size, LOCAL_RANK: rank, LOCAL_WORLD_SIZE: size };
    const env = size > 1 ? { ...world, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port } : {};
    return startSide(program, here(script), options, { env, cores: size > 1 ? `${rank}` : "0,1" });
  });
  await Promise.all(sides.map((side) => side.next()));
  return {
    /** Rank 0's answer, and the bytes that each process has sent meanwhile. */
    async ask(task) {
      const before = sentBytes();
      const answers = await Promise.all(sides.map((side) => side.ask(task)));
      return { ...answers[0], bytes: (sentBytes() - before) / size };
    },
    end: () => Promise.all(sides.map((side) => side.end())),
  };
}

/** By the loopback interface, with the headers of its packets. */
const sentBytes = () => Number(/lo:\s*((?:\d+\s+){9})/.exec(readFileSync("/proc/net/dev", "utf8"))[1].split(/\s+/)[8]);

console.log(`${machine(RANKS)}, ${RANKS} processes of one core each; medians of ${rounds} rounds in turns`);
for (const name of names) {
  for (const dtype of dtypes.split(",")) {
    const { microBatches, batch, length } = cases[name];
    const shape = { ...cases[name], layers, dtype, threads: 1 };
    const ours = (size, options) => startTeam(size, process.execPath, "train-rank.mjs", { ...shape, ...options });
    // One process takes as many tokens as the two, in as many micro-batches.
    const teams = {
      "ours, one process": await ours(1, { threads: RANKS, batch: batch * RANKS, sharding: "none" }),
      ours: await ours(RANKS, { sharding: "none" }),
      "ours, optimizer sharded": await ours(RANKS, { sharding: "optimizer" }),
      "ours, gradients sharded": await ours(RANKS, { sharding: "gradients" }),
    };
    if (existsSync(peerPython)) {
      for (const mode of modes.split(",")) {
        teams[`DDP, ${mode}`] = await startTeam(RANKS, peerPython, "train-torch-ddp.py", { ...shape, mode });
      }
    }
    for (const team of Object.values(teams)) await team.ask({ steps: 2 });
    const sides = Object.entries(teams).map(([side, team]) => [side, () => team.ask({ steps: 1 })]);
    const results = await inTurns(Object.fromEntries(sides), rounds, 0);
    const tokens = RANKS * microBatches * batch * length;
    console.log(`\n${name} a rank, ${dtype}`.padEnd(28) + " tokens/s (best)  held MB  peak MB  MB sent a step  hidden");
    for (const [side, turns] of Object.entries(results)) {
      const ms = turns.flatMap((turn) => turn.ms);
      const row = [
        `${rate(tokens, median(ms))} (${rate(tokens, Math.min(...ms))})`.padStart(16),
        megabytes(turns[0].heldBytes).padStart(8),
        `${Math.max(...turns.map((turn) => turn.peakMB)).toFixed(0)}`.padStart(8),
        megabytes(median(turns.map((turn) => turn.bytes))).padStart(15),
      ];
      if (/^ours(,.*sharded)?$/.test(side)) {
        const alone = [];
        for (let i = 0; i < rounds; i++) alone.push((await teams[side].ask({ alone: true })).ms);
        const waited = median(turns.flatMap((turn) => turn.waitedMs));
        row.push(
          `${(100 * (1 - waited / median(alone))).toFixed(0)} % (waited ${waited.toFixed(0)} of ${median(alone).toFixed(0)} ms)`,
        );
      }
      console.log(`${side.padEnd(27)} ${row.join(" ")}`);
    }
    for (const team of Object.values(teams)) await team.end();
  }
}

function rate(tokens, ms) {
  return ((1000 * tokens) / ms).toFixed(0);
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(0);
}
