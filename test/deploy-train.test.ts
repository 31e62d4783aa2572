// The training files of deploy/ say what the launcher has: its options, its statuses, and names that fit each other. The manifest's
// schema is checked by `npm run test:peers -- deploy`; the script runs here with stand-ins for Slurm's programs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { launchCommand } from "../packages/neobert/src/cli/launch.js";
import { exitStatus } from "../packages/neobert/src/terminal/exit-status.js";

const pathOf = (name: string) => fileURLToPath(new URL(`../deploy/${name}`, import.meta.url));
const documents = parseAllDocuments(readFileSync(pathOf("train-job.yaml"), "utf8"), { stringKeys: true });
const [service, job] = documents.map((document) => document.toJS());
const [container] = job.spec.template.spec.containers;
const script = readFileSync(pathOf("train.sbatch"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "neobert-deploy-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("every flag before -- is one of the launcher's", () => {
  const known = launchCommand().options.map(({ long }) => long);
  const own = container.args
    .slice(0, container.args.indexOf("--"))
    .flatMap((arg: string) => /^--[a-z-]+/.exec(arg) ?? []);
  const call = /launch --[\s\S]*? -- /.exec(script)![0].match(/--[a-z-]+/g)!;
  expect(own.length).toBeGreaterThan(3);
  expect(call.length).toBeGreaterThan(3);
  expect([...own, ...call].filter((flag) => !known.includes(flag))).toEqual([]);
});

test("the Job's numbers, names and statuses fit each other", () => {
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  const flagOf = (flag: string) =>
    container.args.find((arg: string) => arg.startsWith(`${flag}=`)).slice(flag.length + 1);
  expect(job.spec).toMatchObject({ completions: Number(flagOf("--nodes")), parallelism: Number(flagOf("--nodes")) });
  expect(container.resources.limits["nvidia.com/gpu"]).toBe(flagOf("--processes"));
  const { name } = job.metadata;
  expect(job.spec.template.spec.subdomain).toBe(service.metadata.name);
  expect(flagOf("--rendezvous")).toMatch(new RegExp(`^${name}-0\\.${service.metadata.name}:\\d+$`));
  expect(job.spec.template.metadata.labels).toMatchObject(service.spec.selector);
  const { badInput, notFinite, stopped } = exitStatus;
  const values = job.spec.podFailurePolicy.rules.map(
    (rule: { onExitCodes?: { values: number[] } }) => rule.onExitCodes?.values,
  );
  expect(values).toEqual([[badInput, notFinite], [stopped, 143], undefined]);
});

/** Runs the script with programs of Slurm's names that say how they were called; `neobert` is `body`. */
function runScript(body: string, restarts = 0) {
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/bash\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  program("scontrol", '[ "$1" = show ] && printf "gpu03\\ngpu04\\n" || echo "scontrol $*"');
  program("srun", 'shift; SLURM_NODEID=1 exec "$@"');
  program("neobert", body);
  const env = {
    ...{ ...process.env, PATH: `${folder}:${process.env.PATH}`, NEOBERT: join(folder, "neobert") },
    ...{ SLURM_JOB_ID: "9876543", SLURM_NNODES: "2", SLURM_JOB_NODELIST: "gpu[03-04]", PROCESSES: "8" },
    SLURM_RESTART_COUNT: `${restarts}`,
  };
  const child = spawn("bash", [pathOf("train.sbatch"), "my run.yaml", "steps=5"], { env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  return { child, ended: once(child, "close").then(([status]) => ({ status, output })) };
}

test.each([
  [0, ""],
  [75, "scontrol requeue 9876543\n"],
  [76, "scontrol requeue 9876543\n"],
  [77, ""],
])("the script's launcher is called with the job's nodes, and after %i it says %j", async (code, said) => {
  const { status, output } = await runScript(`echo "$*"; exit ${code}`).ended;
  expect(status).toBe(code);
  const call = "launch --processes 8 --nodes 2 --node-rank 1 --rendezvous gpu03:16543 --no-bind";
  expect(output).toBe(`${call} -- pretrain my run.yaml steps=5 --resume\n${said}`);
});

test("a job whose nodes are lost again and again is not queued for ever", async () => {
  const { status, output } = await runScript("exit 76", 20).ended;
  expect({ status, output }).toEqual({ status: 76, output: "" });
});

test("SIGTERM to the script reaches the launcher, is waited for, and puts the job back into the queue", async () => {
  const ready = join(folder, "ready");
  const { child, ended } = runScript(
    `trap 'sleep 0.3; echo saved; exit 75' TERM; touch ${ready}; while :; do sleep 0.05; done`,
  );
  await expect.poll(() => existsSync(ready), { timeout: 10_000 }).toBe(true);
  child.kill("SIGTERM");
  expect(await ended).toEqual({ status: 75, output: "saved\nscontrol requeue 9876543\n" });
});
