// Cores among ranks, by machines whose /sys and /proc are written out here.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { coreGroups, parseCores } from "./core-groups.js";

const root = mkdtempSync(join(tmpdir(), "neobert-cores-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A machine: the cores of each memory node, pairs of siblings if any, the cores that this process may use. */
function machine(name: string, nodes: string[], siblings: string[], allowed: string) {
  const system = join(root, name);
  for (const [number, list] of nodes.entries()) {
    mkdirSync(join(system, `node/node${number}`), { recursive: true });
    writeFileSync(join(system, `node/node${number}/cpulist`), `${list}\n`);
  }
  for (const pair of siblings) {
    for (const core of parseCores(pair)) {
      mkdirSync(join(system, `cpu/cpu${core}/topology`), { recursive: true });
      writeFileSync(join(system, `cpu/cpu${core}/topology/thread_siblings_list`), `${pair}\n`);
    }
  }
  const status = join(system, "status");
  mkdirSync(system, { recursive: true });
  writeFileSync(status, `Name:\tnode\nCpus_allowed_list:\t${allowed}\nMems_allowed_list:\t0\n`);
  return { system, status, cores: parseCores(allowed).length };
}

let two: ReturnType<typeof machine>;
beforeAll(() => {
  two = machine("two", ["0-3", "4-7"], [], "0-7");
});

test.each([
  { ranks: 1, groups: [[0, 1, 2, 3, 4, 5, 6, 7]] },
  {
    ranks: 2,
    groups: [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ],
  },
  // Of equal size and within a node: two cores are left over.
  {
    ranks: 3,
    groups: [
      [0, 1],
      [4, 5],
      [2, 3],
    ],
  },
  {
    ranks: 4,
    groups: [
      [0, 1],
      [4, 5],
      [2, 3],
      [6, 7],
    ],
  },
  { ranks: 8, groups: [[0], [4], [1], [5], [2], [6], [3], [7]] },
])("$ranks ranks on two memory nodes of four cores get $groups", ({ ranks, groups }) => {
  expect(coreGroups(ranks, two)).toEqual({ threads: groups[0]!.length, groups });
});

test("more ranks than cores are bound to none and have one thread each", () => {
  expect(coreGroups(9, two)).toEqual({ threads: 1, groups: undefined });
});

test("both threads of a core go to one rank, and cores that the process may not use to none", () => {
  const threaded = machine("threaded", ["0-7"], ["0,4", "1,5", "2,6", "3,7"], "1-3,5-7");
  expect(coreGroups(3, threaded).groups).toEqual([
    [1, 5],
    [2, 6],
    [3, 7],
  ]);
});

test("a container's share of time counts, not the cores that it sees", () => {
  expect(coreGroups(2, { ...two, cores: 4 })).toEqual({
    threads: 2,
    groups: [
      [0, 1],
      [4, 5],
    ],
  });
});

test("a system that says nothing of its nodes is one node, and one without /proc is not bound", () => {
  const flat = machine("flat", [], [], "2-5");
  expect(coreGroups(2, flat).groups).toEqual([
    [2, 3],
    [4, 5],
  ]);
  expect(coreGroups(2, { ...flat, status: join(root, "none") })).toEqual({ threads: 2, groups: undefined });
});
