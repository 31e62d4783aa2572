// The files of deploy/ say what the server has: its options and variables, its routes, its port and its metric; and what one
// of them says of a port, a user or a folder the others say too. Their own schemas are checked by `npm run test:peers -- deploy`.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { serveCommand } from "../packages/neobert/src/cli/serve.js";
import { createHandler } from "../packages/neobert/src/serve/index.js";

const read = (name: string) => readFileSync(fileURLToPath(new URL(`../deploy/${name}`, import.meta.url)), "utf8");
const dockerfile = read("Dockerfile");
const compose = parse(read("docker-compose.yaml")).services.neobert;
const objects = parseAllDocuments(read("kubernetes.yaml"), { stringKeys: true });
const [deployment, service, autoscaler] = objects.map((document) => document.toJS());
const pod = deployment.spec.template.spec;
const [container] = pod.containers;

const entry: string[] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)![1]!);
const port = entry[entry.indexOf("--port") + 1]!;
const options = serveCommand().options;

test("the manifest's documents are whole YAML", () => {
  expect(objects.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  expect(objects.map((document) => document.get("kind"))).toEqual(["Deployment", "Service", "HorizontalPodAutoscaler"]);
});

test("every flag and variable is one of the server's", () => {
  const flags = [...entry, ...compose.command, ...container.args].filter((word) => word.startsWith("--"));
  expect(flags.length).toBeGreaterThan(3);
  expect(flags.filter((flag) => !options.some(({ long }) => long === flag))).toEqual([]);
  const set = [...Object.keys(compose.environment), ...container.env.map(({ name }: { name: string }) => name)];
  const known = options.map(({ envVar }) => envVar);
  expect(set.filter((name) => !known.includes(name))).toEqual([]);
  expect(dockerfile).toMatch(/^ENV NODE_ENV=production NEOBERT_CACHE=\/cache JSON_OUTPUT=true$/m);
});

test("probes and metrics ask routes that there are, and the autoscaler a metric that the server has", async () => {
  const handler = createHandler([]);
  const status = async (path: string) => (await handler(new Request(`http://localhost${path}`))).status;
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    expect(await status(container[probe].httpGet.path)).toBe(200);
    expect(container[probe].httpGet.port).toBe(container.ports[0].name);
  }
  expect(await status(/127\.0\.0\.1:\d+(\/\w+)/.exec(dockerfile)![1]!)).toBe(200);
  const scraped = deployment.spec.template.metadata.annotations["prometheus.io/path"];
  const metrics = await (await handler(new Request(`http://localhost${scraped}`))).text();
  expect(metrics).toMatch(new RegExp(`^${autoscaler.spec.metrics[0].pods.metric.name} \\d`, "m"));
});

test("image, Compose file and manifest agree on port, folders, user and labels", () => {
  expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${port}$`, "m"));
  expect(compose.ports[0]).toMatch(new RegExp(`:${port}$`));
  expect(container.ports[0].containerPort).toBe(Number(port));
  expect(service.spec.ports[0].targetPort).toBe(container.ports[0].name);
  expect(service.spec.selector).toEqual(deployment.spec.selector.matchLabels);
  expect(deployment.spec.template.metadata.labels).toMatchObject(service.spec.selector);
  expect(autoscaler.spec.scaleTargetRef.name).toBe(deployment.metadata.name);
  expect(dockerfile).toMatch(new RegExp(`^USER ${pod.securityContext.runAsUser}:`, "m"));
  const mounts: string[] = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
  const volumes: string[] = JSON.parse(/^VOLUME (.*)$/m.exec(dockerfile)![1]!);
  expect(mounts).toEqual(expect.arrayContaining(volumes));
  expect(
    compose.volumes.map((volume: string) =>
      volume.split(":").at(-1) === "ro" ? volume.split(":").at(-2) : volume.split(":").at(-1),
    ),
  ).toEqual(volumes);
});

test("nothing runs as root or writes but to its volumes, and a drain has its time", () => {
  expect(pod.securityContext.runAsNonRoot).toBe(true);
  expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
  expect(compose).toMatchObject({ read_only: true, cap_drop: ["ALL"] });
  const drain = Number(container.args[container.args.indexOf("--drain-timeout") + 1]);
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(drain + 5);
  expect(Number.parseInt(compose.stop_grace_period, 10)).toBeGreaterThan(Number(compose.command.at(-1)));
});

test("what the image is built from is let through to it", () => {
  const kept = read("Dockerfile.dockerignore")
    .split("\n")
    .filter((line) => line.startsWith("!"));
  for (const name of ["package.json", "package-lock.json", "tools", "packages", "README.md", "LICENSE"]) {
    expect(kept).toContain(`!${name}`);
  }
});
