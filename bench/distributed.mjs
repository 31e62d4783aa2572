// One training step of 6 layers x 768 by two processes of one core each, ours and PyTorch's DistributedDataParallel, and by one of
// ours on two cores: tokens/s, memory and traffic of a rank, share of the communication that the backward pass hides.
// A set of sides is started once and takes turns; each needs some 2 GB a process.
//   npm run bench -- distributed [case ...] [--rounds=3] [--dtypes=bf16,fp32] [--modes=eager,compile]
//     [--shardings=none,gradients] [--layers=6]

import { existsSync, readFileSync } from "node:fs";
import { inTurns, machine, median, optionsOf, peerPython } from "./measure.mjs";
import { startTeam } from "./team.mjs";

/** What a rank takes of a step. */
const cases = {
  "1 x 4x512": { microBatches: 1, batch: 4, length: 512 },
  "4 x 4x512": { microBatches: 4, batch: 4, length: 512 },
};
const { names, rounds, dtypes, modes, shardings, layers } = optionsOf(
  { rounds: 3, dtypes: "bf16,fp32", modes: "eager,compile", shardings: "none,gradients", layers: 6 },
  Object.keys(cases),
);
const RANKS = 2;
/** A step of theirs, and what each process sends meanwhile. */
async function countBytes(team) {
  const before = sentBytes();
  return { ...(await team.ask({ steps: 1 })), bytes: (sentBytes() - before) / RANKS };
}

/** By the loopback interface, with the headers of its packets. */
const sentBytes = () => Number(/lo:\s*((?:\d+\s+){9})/.exec(readFileSync("/proc/net/dev", "utf8"))[1].split(/\s+/)[8]);

console.log(`${machine(RANKS)}, ${RANKS} processes of one core each; medians of ${rounds} rounds in turns`);
for (const name of names)
  for (const dtype of dtypes.split(",")) for (const mode of modes.split(",")) await compare(name, dtype, mode);

async function compare(name, dtype, mode) {
  const { microBatches, batch, length } = cases[name];
  const shape = { ...cases[name], layers, dtype, threads: 1 };
  const ours = (size, options) => startTeam(size, process.execPath, "train-rank.mjs", { ...shape, ...options });
  // One process takes as many tokens as the two, in as many micro-batches.
  const teams = { "one process": await ours(1, { threads: RANKS, batch: batch * RANKS, sharding: "none" }) };
  for (const sharding of shardings.split(",")) teams[`sharding ${sharding}`] = await ours(RANKS, { sharding });
  if (existsSync(peerPython)) {
    teams[`DDP, ${mode}`] = await startTeam(RANKS, peerPython, "train-torch-ddp.py", { ...shape, mode });
  }
  for (const team of Object.values(teams)) await team.ask({ steps: microBatches > 1 ? 1 : 2 }); // warm up
  const sides = Object.entries(teams).map(([side, team]) => [side, () => countBytes(team)]);
  const results = await inTurns(Object.fromEntries(sides), rounds, 0);
  const tokens = RANKS * microBatches * batch * length;
  console.log(`\n${name} a rank, ${dtype}`);
  console.log(`${" ".repeat(20)}tokens/s (best)  held MB  peak MB  MB sent  hidden`);
  for (const [side, turns] of Object.entries(results)) {
    const ms = turns.flatMap((turn) => turn.ms);
    const row = [
      side.padEnd(19),
      `${rate(tokens, median(ms))} (${rate(tokens, Math.min(...ms))})`.padStart(16),
      megabytes(turns[0].heldBytes).padStart(8),
      `${Math.max(...turns.map((turn) => turn.peakMB)).toFixed(0)}`.padStart(8),
      megabytes(median(turns.map((turn) => turn.bytes))).padStart(8),
    ];
    if (side.startsWith("sharding")) {
      const alone = [];
      for (let i = 0; i < rounds; i++) alone.push((await teams[side].ask({ alone: true })).ms);
      const waited = median(turns.flatMap((turn) => turn.waitedMs));
      const [some, all] = [waited, median(alone)].map((value) => value.toFixed(0));
      row.push(
        ` ${(100 * (1 - waited / median(alone))).toFixed(0)} % (waited ${some} ms, collectives alone ${all} ms)`,
      );
    }
    console.log(row.join(" "));
  }
  for (const team of Object.values(teams)) await team.end();
}

function rate(tokens, ms) {
  return ((1000 * tokens) / ms).toFixed(0);
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(0);
}
