// Each launcher's variables as its own documentation has them, and what is wrong with variables.

import { describe, expect, test } from "vitest";
import { rankOf, worldOf } from "./launchers.js";

const torchrun = {
  RANK: "5",
  LOCAL_RANK: "1",
  WORLD_SIZE: "8",
  LOCAL_WORLD_SIZE: "4",
  GROUP_RANK: "1",
  GROUP_WORLD_SIZE: "2",
  ROLE_RANK: "5",
  ROLE_NAME: "default",
  ROLE_WORLD_SIZE: "8",
  MASTER_ADDR: "node-a",
  MASTER_PORT: "41234",
  TORCHELASTIC_RESTART_COUNT: "2",
  TORCHELASTIC_MAX_RESTARTS: "3",
  TORCHELASTIC_RUN_ID: "job-7",
  TORCHELASTIC_USE_AGENT_STORE: "True",
  TORCH_NCCL_ASYNC_ERROR_HANDLING: "1",
  OMP_NUM_THREADS: "1",
};

const srun = {
  SLURM_JOB_ID: "9876543",
  SLURM_STEP_ID: "0",
  SLURM_PROCID: "3",
  SLURM_LOCALID: "1",
  SLURM_NODEID: "1",
  SLURM_NTASKS: "5",
  SLURM_STEP_NUM_TASKS: "5",
  SLURM_STEP_TASKS_PER_NODE: "2(x2),1",
  SLURM_STEP_NODELIST: "gpu[03-04,9]",
  SLURM_JOB_NODELIST: "gpu[01-09]",
};

const openmpi = {
  OMPI_COMM_WORLD_RANK: "1",
  OMPI_COMM_WORLD_SIZE: "2",
  OMPI_COMM_WORLD_LOCAL_RANK: "1",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
};

const master = { MASTER_ADDR: "10.0.0.7", MASTER_PORT: "29501" };
const atMaster = { host: "10.0.0.7", port: 29501 };

test("rank and size alone need no place to meet, and a world of one has them too", () => {
  expect(rankOf(torchrun)).toEqual({ rank: 5, size: 8 });
  expect(rankOf(openmpi)).toEqual({ rank: 1, size: 2 });
  expect(() => worldOf({ RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "0" })).toThrow("MASTER_ADDR");
  expect(rankOf({ RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "0" })).toEqual({ rank: 1, size: 2 });
  expect(rankOf({ RANK: "0", WORLD_SIZE: "1" })).toEqual({ rank: 0, size: 1 });
  expect(rankOf({})).toBeUndefined();
  expect(() => rankOf({ RANK: "2", WORLD_SIZE: "2" })).toThrow("expected RANK below WORLD_SIZE=2, got 2\n");
  expect(() => rankOf({ RANK: "0" })).toThrow("expected WORLD_SIZE beside RANK=0, got none\n");
});

test.each([
  {
    source: "torchrun",
    env: torchrun,
    place: {
      ...{ rank: 5, size: 8, localRank: 1, localSize: 4, master: { host: "node-a", port: 41234 } },
      ...{ agentStore: true, restart: 2, prefix: "neobert/job-7/2" },
    },
  },
  {
    source: "neobert",
    env: {
      ...{ RANK: "0", WORLD_SIZE: "2", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "2", NEOBERT_LAUNCH: "abc" },
      ...{ NEOBERT_RESTART: "1", ...master },
    },
    place: { rank: 0, size: 2, localRank: 0, localSize: 2, master: atMaster, restart: 1, prefix: "neobert/abc/1" },
  },
  {
    // A pod of a PyTorchJob has one process and no local rank.
    source: "environment",
    env: { RANK: "2", WORLD_SIZE: "4", ...master, PET_NNODES: "4", PET_NPROC_PER_NODE: "auto", PET_NODE_RANK: "2" },
    place: { rank: 2, size: 4, localRank: 0, localSize: 1, master: atMaster },
  },
  {
    source: "environment",
    env: { RANK: "2", WORLD_SIZE: "4", LOCAL_RANK: "0", ...master },
    place: { rank: 2, localRank: 0, localSize: undefined },
  },
  {
    source: "slurm",
    env: srun,
    place: {
      ...{ rank: 3, size: 5, localRank: 1, localSize: 2, master: { host: "gpu03", port: 16543 } },
      ...{ agentStore: false, restart: 0, prefix: "neobert/9876543.0/0" },
    },
  },
  {
    source: "slurm",
    env: {
      ...srun,
      SLURM_PROCID: "4",
      SLURM_LOCALID: "0",
      SLURM_NODEID: "2",
      SLURM_RESTART_COUNT: "6",
      ENVIRONMENT: "BATCH",
    },
    place: { rank: 4, localSize: 1, restart: 6, prefix: "neobert/9876543.0/6" },
  },
  {
    // A list that does not fit the task, as of another node.
    source: "slurm",
    env: { ...srun, SLURM_NODEID: "2" },
    place: { rank: 3, localRank: 1, localSize: undefined },
  },
  {
    // As little as an old srun sets, and the script's own meeting point.
    source: "slurm",
    env: {
      SLURM_PROCID: "1",
      SLURM_LOCALID: "0",
      SLURM_NTASKS: "2",
      SLURM_JOB_ID: "12",
      SLURM_JOB_NODELIST: "a[8,9]",
      ...master,
    },
    place: { rank: 1, size: 2, localRank: 0, localSize: undefined, master: atMaster },
  },
  {
    source: "slurm",
    env: { SLURM_PROCID: "1", SLURM_LOCALID: "0", SLURM_NTASKS: "2", SLURM_JOB_ID: "12", SLURM_JOB_NODELIST: "a[8,9]" },
    place: { master: { host: "a8", port: 10012 } },
  },
  {
    source: "openmpi",
    env: openmpi,
    place: { rank: 1, size: 2, localRank: 1, localSize: 2, master: { host: "127.0.0.1", port: 29500 }, restart: 0 },
  },
  {
    // mpirun on two nodes of a Slurm job: srun started its daemons, whose task and size say nothing of ours.
    source: "openmpi",
    env: { ...srun, ...openmpi, OMPI_COMM_WORLD_SIZE: "4", OMPI_COMM_WORLD_RANK: "3" },
    place: { rank: 3, size: 4, localRank: 1, localSize: 2, master: { host: "gpu03", port: 16543 } },
  },
  {
    source: "mvapich",
    env: {
      ...{ MV2_COMM_WORLD_RANK: "3", MV2_COMM_WORLD_SIZE: "4", MV2_COMM_WORLD_LOCAL_RANK: "1" },
      ...{ MV2_COMM_WORLD_LOCAL_SIZE: "2", ...master },
    },
    place: { rank: 3, size: 4, localRank: 1, localSize: 2, master: atMaster },
  },
  {
    source: "pmi",
    env: { PMI_RANK: "3", PMI_SIZE: "4", MPI_LOCALRANKID: "1", MPI_LOCALNRANKS: "2", ...master },
    place: { rank: 3, size: 4, localRank: 1, localSize: 2, master: atMaster },
  },
  {
    source: "pmi",
    env: { ...srun, PMI_RANK: "3", PMI_SIZE: "5" },
    place: { rank: 3, size: 5, localRank: 1, localSize: undefined, master: { host: "gpu03", port: 16543 } },
  },
  {
    source: "kubernetes",
    env: { JOB_COMPLETION_INDEX: "1", WORLD_SIZE: "3", ...master },
    place: { rank: 1, size: 3, localRank: 0, localSize: 1, master: atMaster },
  },
  {
    source: "kubeflow",
    env: {
      PET_NODE_RANK: "1",
      PET_NNODES: "3",
      PET_NPROC_PER_NODE: "1",
      PET_MASTER_ADDR: "10.0.0.7",
      PET_MASTER_PORT: "29501",
    },
    place: { rank: 1, size: 3, localRank: 0, localSize: 1, master: atMaster },
  },
  {
    // torchrun on each node of an srun step.
    source: "torchrun",
    env: { ...torchrun, ...srun },
    place: { rank: 5, size: 8, master: { host: "node-a", port: 41234 } },
  },
])("a process of $source is rank $place.rank: $env", ({ source, env, place }) => {
  expect(worldOf(env)).toMatchObject({ source, ...place });
});

describe("a process alone is no world", () => {
  test.each([
    ["without variables", {}],
    ["torchrun with one process", { ...torchrun, RANK: "0", WORLD_SIZE: "1", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1" }],
    [
      "srun with one task",
      {
        ...srun,
        SLURM_PROCID: "0",
        SLURM_LOCALID: "0",
        SLURM_STEP_NUM_TASKS: "1",
        SLURM_STEP_TASKS_PER_NODE: "1",
        SLURM_NODEID: "0",
      },
    ],
    // The step of salloc's shell has the number 0xfffffffa and one task, whatever the job has.
    [
      "salloc's shell as a step",
      {
        ...srun,
        SLURM_STEP_ID: "4294967290",
        SLURM_PROCID: "0",
        SLURM_LOCALID: "0",
        SLURM_STEP_NUM_TASKS: "1",
        SLURM_STEP_TASKS_PER_NODE: "1",
        SLURM_NODEID: "0",
        SLURM_NTASKS: "8",
      },
    ],
    [
      "salloc's shell on the login node",
      { SLURM_JOB_ID: "7", SLURM_NTASKS: "8", SLURM_JOB_NODELIST: "n[1-2]", SLURM_TASKS_PER_NODE: "4(x2)" },
    ],
    [
      "a batch script",
      {
        SLURM_JOB_ID: "7",
        SLURM_NTASKS: "8",
        SLURM_PROCID: "0",
        SLURM_LOCALID: "0",
        SLURM_JOB_NODELIST: "n[1-2]",
        ENVIRONMENT: "BATCH",
      },
    ],
    ["a pod of an Indexed Job whose pods are separate", { JOB_COMPLETION_INDEX: "3" }],
    ["empty variables", { RANK: "", WORLD_SIZE: "" }],
    ["a container that says WORLD_SIZE=1", { WORLD_SIZE: "1" }],
  ])("%s", (_, env) => {
    expect(worldOf(env)).toBeUndefined();
  });
});

test.each([
  ["node1", "node1"],
  ["node1,node2", "node1"],
  ["gpu[003-007,12]", "gpu003"],
  ["rack[0-1]node[3-4]", "rack0node3"],
  ["n[2,4-5]-ib,m1", "n2-ib"],
])("Slurm's list %s begins with %s", (list, host) => {
  expect(worldOf({ ...srun, SLURM_STEP_NODELIST: list })!.master.host).toBe(host);
});

test.each([
  [{ RANK: "1" }, "expected WORLD_SIZE beside RANK=1, got none", "Set WORLD_SIZE, or unset the other"],
  [{ WORLD_SIZE: "4" }, "expected RANK beside WORLD_SIZE=4, got none", "neobert launch, torchrun, srun, mpirun"],
  [{ LOCAL_RANK: "0" }, "expected RANK beside LOCAL_RANK=0, got none", ""],
  [{ ...torchrun, RANK: "8" }, "expected RANK below WORLD_SIZE=8, got 8", "unset RANK to run alone"],
  [{ ...torchrun, RANK: "-1" }, 'expected RANK to be a whole number of 0 or more, got "-1"', ""],
  [{ ...torchrun, RANK: "1e9" }, 'got "1e9"', ""],
  [{ ...torchrun, RANK: "99999999999999999999" }, 'got "99999999999999999999"', ""],
  [{ ...torchrun, WORLD_SIZE: "0" }, 'expected WORLD_SIZE to be a whole number of 1 or more, got "0"', ""],
  [{ ...torchrun, LOCAL_RANK: "4" }, "expected LOCAL_RANK below the 4 ranks of its machine, got 4", "LOCAL_WORLD_SIZE"],
  [{ ...torchrun, LOCAL_WORLD_SIZE: "9" }, "expected at most 8 ranks on one machine", "LOCAL_WORLD_SIZE"],
  [{ ...torchrun, MASTER_PORT: "70000" }, "expected MASTER_PORT to be a port of 1 to 65535, got 70000", ""],
  [{ ...torchrun, MASTER_PORT: "http" }, 'got "http"', ""],
  [
    { ...torchrun, MASTER_ADDR: "" },
    "expected MASTER_ADDR, the host of rank 0, beside the 8 ranks of torchrun, got none",
    "MASTER_PORT",
  ],
  [
    { ...torchrun, TORCHELASTIC_RESTART_COUNT: "x" },
    'expected TORCHELASTIC_RESTART_COUNT to be a whole number of 0 or more, got "x"',
    "",
  ],
  [{ ...srun, SLURM_PROCID: "5" }, "expected SLURM_PROCID below SLURM_STEP_NUM_TASKS=5, got 5", ""],
  [
    { ...srun, SLURM_STEP_NUM_TASKS: "", SLURM_NTASKS: "" },
    "expected SLURM_STEP_NUM_TASKS beside SLURM_PROCID=3, got none",
    "",
  ],
  [{ ...srun, SLURM_LOCALID: "" }, "expected SLURM_LOCALID beside SLURM_PROCID of slurm, got none", ""],
  [
    { ...srun, SLURM_STEP_NODELIST: "gpu[1-2" },
    'expected Slurm\'s list of nodes to be like gpu[01-04,7],cpu1, got "gpu[1-2"',
    "Set MASTER_ADDR",
  ],
  [{ ...srun, SLURM_STEP_NODELIST: "]" }, 'got "]"', ""],
  [
    { ...openmpi, OMPI_COMM_WORLD_SIZE: "4" },
    "expected MASTER_ADDR, the host of rank 0, beside the 4 ranks of openmpi, got none",
    "mpirun -x MASTER_ADDR=HOST",
  ],
  [{ PMI_RANK: "0", MPI_LOCALRANKID: "0" }, "expected PMI_SIZE beside PMI_RANK=0, got none", ""],
  [
    { JOB_COMPLETION_INDEX: "3", WORLD_SIZE: "3", ...master },
    "expected JOB_COMPLETION_INDEX below WORLD_SIZE=3, got 3",
    "",
  ],
  [
    { PET_NODE_RANK: "0", PET_NNODES: "2", PET_NPROC_PER_NODE: "8" },
    'expected PET_NPROC_PER_NODE to be 1 for a process that no launcher has started, got "8"',
    "torchrun --no-python",
  ],
  [
    { PET_NODE_RANK: "0", PET_NNODES: "1:4" },
    'expected PET_NNODES to be a number for a process that no launcher has started, got "1:4"',
    "",
  ],
  // Left in the shell that called srun, or exported with a wrong sum.
  [
    { ...srun, RANK: "0", WORLD_SIZE: "5", LOCAL_RANK: "0", ...master },
    "expected RANK, if at all, to be 3, as slurm says, got 0",
    "Unset RANK and WORLD_SIZE",
  ],
  [{ ...srun, WORLD_SIZE: "10" }, "expected WORLD_SIZE, if at all, to be 5, as slurm says, got 10", "Unset"],
])("%j: %s", (env, what, wayOut) => {
  expect(() => worldOf(env)).toThrow(what);
  if (wayOut !== "") expect(() => worldOf(env)).toThrow(wayOut);
  expect(() => worldOf(env)).toThrow(/^world: expected .*, got .*\n.+/);
});
