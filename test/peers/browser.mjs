// The browser page in headless Chromium: our tokenizer and onnxruntime-web give the vectors that Node gives.
//   node test/peers/browser.mjs FOLDER   (compile first; skipped where there is no Chromium)
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Encoder } from "neobert";
import { exportOnnx } from "neobert/export";
import { writeSmallModel } from "#neobert/encoder/fixture-encoder";
import { serve } from "../../examples/browser/serve.mjs";
import { fetchMiniLM } from "../../tools/minilm.mjs";

const TIMEOUT_MS = 120_000;

const names = [process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"].filter(Boolean);
const chromium = names.find((name) => spawnSync(name, ["--version"]).status === 0);
if (!chromium) {
  console.log("browser: skipped, no Chromium on the PATH");
  process.exit(0);
}
const folder = process.argv[2];
const model = (await fetchMiniLM()) ?? (await writeSmallModel());
await exportOnnx(model, join(folder, "model"));

let report = () => {};
const reported = new Promise((resolve) => (report = resolve));
const server = await serve({ model: join(folder, "model"), onReport: report });
const flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking";
const more = "--disable-component-update --disable-sync --enable-logging=stderr";
const browser = spawn(chromium, [
  ...`${flags} ${more}`.split(" "),
  `--user-data-dir=${join(folder, "profile")}`,
  `http://127.0.0.1:${server.address().port}/examples/browser/index.html?report`,
]);
let log = "";
browser.stderr.on("data", (text) => (log += text));
const timer = setTimeout(() => report(undefined), TIMEOUT_MS);
const found = await Promise.race([reported, once(browser, "exit").then(() => undefined)]);
clearTimeout(timer);
browser.kill("SIGKILL");
server.closeAllConnections();
server.close();
if (!found)
  throw new Error(
    `the page did not report:\n${log
      .split("\n")
      .filter((line) => /CONSOLE/.test(line))
      .join("\n")}`,
  );

const encoder = await Encoder.load(model);
const expected = await encoder.encode(found.sentences, { normalize: true, maxTokens: 64 });
await encoder.dispose();
const got = found.vectors.flat();
const worst = Math.max(...expected.data.map((value, i) => Math.abs(value - got[i])));
if (got.length !== expected.data.length || !(worst < 1e-4)) throw new Error(`vectors differ by ${worst}`);
if (!found.best) throw new Error("the page shows no result");
console.log(`browser: vectors within ${worst.toExponential(0)} of Node's; best: ${found.best}`);
process.exit(0);
