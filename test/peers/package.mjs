// The packed tarball, installed in an empty folder: the three lines of the README, and a request to `neobert serve`, give the
// vectors that the repository gives, with nothing on the PATH but Node; libtorch's absence is told in one sentence; types
// and program are there.
//   node test/peers/package.mjs FOLDER   (compile first)
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Encoder } from "neobert";
import { writeSmallModel } from "#neobert/encoder/fixture-encoder";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = process.argv[2];
const npm = (args, cwd) =>
  execFileSync("npm", [...args, "--silent", "--no-audit", "--no-fund"], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
    stdio: ["ignore", "pipe", "inherit"],
  });

npm(["pack", "--pack-destination", folder], join(root, "packages", "neobert"));
const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"));
const project = join(folder, "project");
mkdirSync(project);
writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
npm(["install", join("..", tarball)], project);

const texts = ["the law of the house", "a free people", "free states in peace and war"];
const model = await writeSmallModel();
cpSync(model, join(project, "model"), { recursive: true });
writeFileSync(
  join(project, "three-lines.mjs"),
  `import { Encoder } from "neobert";
const encoder = await Encoder.load("model");
const vectors = await encoder.encode(${JSON.stringify(texts)});
const scores = encoder.similarity(vectors, vectors);
console.log(JSON.stringify({ vectors: [...vectors.data], scores: [...scores.data] }));
await Encoder.load("model", { engine: "torch" }).catch(({ message }) => console.error(message));
`,
);
// No compiler, no Python, no libtorch: an empty PATH, and a cache of its own.
const env = { PATH: "", HOME: project, NEOBERT_CACHE: join(project, "cache"), NEOBERT_DEBUG: "1" };
const run = spawnSync(process.execPath, ["three-lines.mjs"], { cwd: project, env, encoding: "utf8" });
if (run.status !== 0) throw new Error(`the three lines ended with ${run.status}:\n${run.stderr}`);
const got = JSON.parse(run.stdout);

const encoder = await Encoder.load(model);
const expected = await encoder.encode(texts);
const worst = Math.max(...expected.data.map((value, i) => Math.abs(value - got.vectors[i])));
if (!(worst < 1e-6) || got.vectors.length !== expected.data.length) throw new Error(`vectors differ by ${worst}`);
if (!/^engine "torch": expected libtorch .*\nRun `npx neobert setup-torch`/.test(run.stderr)) {
  throw new Error(`expected the way to libtorch, got ${run.stderr}`);
}
const installed = join(project, "node_modules", "neobert");
const { exports, version } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
const files = readdirSync(installed, { recursive: true, encoding: "utf8" });
for (const { types, default: entry } of Object.values(exports)) {
  for (const path of [types, entry]) {
    if (!files.includes(path.slice(2))) throw new Error(`${path}: named by package.json, and not in the tarball`);
  }
}
const further = ["native/binding.gyp", "dist/index.js"].map((path) => `node_modules/@neobert/torch/${path}`);
for (const path of [...further, "dist/page/index.html", "dist/page/page.js"]) {
  if (!files.includes(path)) throw new Error(`${path}: not in the tarball`);
}
const program = spawnSync(process.execPath, [join(installed, "bin", "neobert.js"), "--version"], { encoding: "utf8" });
if (program.stdout.trim() !== version) throw new Error(`neobert --version: expected ${version}, got ${program.stdout}`);
console.log(`package: the three lines ran from ${tarball} alone, vectors equal to ${worst.toExponential(0)}`);

const start = performance.now();
const server = spawn(process.execPath, [join(installed, "bin", "neobert.js"), "serve", "model", "--port", "0"], {
  cwd: project,
  env,
  stdio: ["ignore", "pipe", "inherit"],
});
try {
  const ended = once(server, "exit");
  let url;
  for await (const line of createInterface({ input: server.stdout })) {
    url = /^(http:.*): ready$/.exec(line)?.[1];
    if (url !== undefined) break;
  }
  if (url === undefined) throw new Error("serve: ended before it was ready");
  const asked = await fetch(`${url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ input: texts[0] }),
  });
  const [{ embedding }] = (await asked.json()).data;
  const ms = Math.round(performance.now() - start);
  const unit = (await encoder.encode([texts[0]], { normalize: true })).data;
  const apart = Math.max(...embedding.map((value, i) => Math.abs(value - unit[i])));
  if (!(apart < 1e-6) || embedding.length !== unit.length) throw new Error(`serve: vectors differ by ${apart}`);
  const page = await fetch(url, { headers: { accept: "text/html" } });
  if (!(await page.text()).includes("<title>NeoBERT</title>")) throw new Error(`serve: no page, but ${page.status}`);
  server.kill();
  const [status] = await ended;
  if (status !== 0) throw new Error(`serve: expected the end with 0 after SIGTERM, got ${status}`);
  console.log(`package: serve answered ${ms} ms after its start`);
} finally {
  server.kill("SIGKILL");
}
