// Serves the browser page: node examples/browser/serve.mjs EXPORTED, where EXPORTED is what
// `npx neobert export onnx MODEL --out EXPORTED` made. Only files of this repository and of that folder are given out.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
const served = [
  "/examples/browser/",
  "/packages/neobert/dist/",
  "/node_modules/zod/",
  "/node_modules/onnxruntime-web/",
];

/** Starts a server on 127.0.0.1 and resolves to it; `onReport` gets what a page opened with `?report` found. */
export function serve({ model, port = 0, onReport = () => {} }) {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://page").pathname));
    if (request.method === "POST" && path === "/report") {
      let body = "";
      request.on("data", (chunk) => (body += chunk));
      request.on("end", () => {
        response.end();
        onReport(JSON.parse(body));
      });
      return;
    }
    if (path === "/") return response.writeHead(302, { location: "/examples/browser/index.html" }).end();
    const file = path.startsWith("/model/") ? join(model, path.slice(7)) : join(root, path);
    const allowed = path.startsWith("/model/") || served.some((prefix) => path.startsWith(prefix));
    if (!allowed || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": types[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [model] = process.argv.slice(2);
  if (!model || !existsSync(join(model, "onnx", "model.onnx"))) {
    console.error(
      "serve: expected a folder with onnx/model.onnx\nMake one: npx neobert export onnx MODEL --out FOLDER",
    );
    process.exit(1);
  }
  const server = await serve({ model, port: 8080 });
  console.log(`http://127.0.0.1:${server.address().port}`);
}
