// Which folder may import which: imports point one way. The table below is the rule; the test parses every source file's
// import statements (static, re-export and dynamic) with TypeScript's own parser. Tests, and the fixture-*.ts that are
// theirs and not published, may import what they like.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const NEOBERT = join(ROOT, "packages/neobert/src");
const TORCH = join(ROOT, "packages/torch/src");

// Folder of packages/neobert/src -> folders it may import. "type X": only with `import type`. "torch": @neobert/torch;
// "torch*": only in files whose name, or folder, starts with torch. "index" is the file src/index.ts; "engine/planner" is that
// file alone, plain functions.
const ALLOWED: Record<string, string[]> = {
  files: [],
  terminal: [],
  launch: ["files", "terminal"],
  tokenizer: ["files"],
  hub: ["files"],
  texts: ["files", "tokenizer", "type model"],
  data: ["files", "hub", "tokenizer"],
  model: ["files", "torch*"],
  vectors: ["files", "model"],
  onnx: ["files", "model", "texts", "tokenizer", "torch*"],
  engine: ["files", "model", "onnx", "texts", "vectors", "torch*"],
  encoder: ["engine", "files", "hub", "model", "texts", "tokenizer", "vectors"],
  evaluate: ["data", "engine/planner", "files", "hub", "tokenizer", "type encoder", "torch*"],
  export: ["files", "hub", "model", "onnx", "tokenizer", "vectors"],
  report: ["evaluate", "files"],
  serve: ["files", "type encoder", "type vectors", "vectors/quantize"],
  train: [
    "data",
    "encoder",
    "engine",
    "evaluate",
    "export",
    "files",
    "hub",
    "model",
    "terminal",
    "texts",
    "tokenizer",
    "vectors",
    "torch",
  ],
  index: ["encoder", "engine", "hub", "texts", "vectors"],
  cli: [
    "data",
    "encoder",
    "evaluate",
    "export",
    "files",
    "hub",
    "index",
    "launch",
    "model",
    "onnx", // doctor: whether the runtime is there
    "report",
    "serve",
    "terminal",
    "tokenizer",
    "train",
    "vectors",
    "torch",
  ],
};

interface Import {
  file: string;
  specifier: string;
  kind: "static" | "type" | "dynamic";
}

function sourceFiles(folder: string, pattern = /(?<!\.test)\.ts$/): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((path) => pattern.test(path))
    .map((path) => join(folder, path));
}

function importsOf(file: string, text = readFileSync(file, "utf8")): Import[] {
  const found: Import[] = [];
  const add = (node: ts.Node | undefined, kind: Import["kind"]) => {
    if (node && ts.isStringLiteralLike(node)) found.push({ file, specifier: node.text, kind });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ? "type" : "static");
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly ? "type" : "static");
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, "type");
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], "dynamic");
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest));
  return found;
}

// "encoder" for src/encoder/labels.ts, "index" for src/index.ts.
function folderOf(file: string): string {
  return relative(NEOBERT, file).split("/")[0]!.replace(/\.ts$/, "");
}

/** Our own folder or package that an import reaches; undefined for packages of others. */
function targetOf({ file, specifier }: Import): string | undefined {
  if (specifier.startsWith(".")) return folderOf(resolve(dirname(file), specifier).replace(/\.js$/, ".ts"));
  if (specifier === "@neobert/torch" || specifier.startsWith("@neobert/torch/")) return "torch";
  return /^neobert(\/|$)/.test(specifier) ? specifier : undefined;
}

function isAllowed(one: Import): boolean {
  const folder = folderOf(one.file);
  const target = targetOf(one);
  if (target === undefined || target === folder || basename(one.file).startsWith("fixture-")) return true;
  const allowed = ALLOWED[folder] ?? [];
  return (
    allowed.includes(target) ||
    allowed.some((name) => name.includes("/") && one.specifier.endsWith(`/${name}.js`)) ||
    (one.kind === "type" && allowed.includes(`type ${target}`)) ||
    (/\/torch[^/]*(\/[^/]+)?$/.test(one.file) && allowed.includes(`${target}*`))
  );
}

/** The groups of files that reach each other by imports of any kind (Tarjan's strongly connected components). */
function circlesOf(root: string): string[][] {
  const importsFrom = new Map(
    sourceFiles(root).map((file) => {
      const local = importsOf(file).filter(({ specifier }) => specifier.startsWith("."));
      return [file, local.map(({ specifier }) => resolve(dirname(file), specifier).replace(/\.js$/, ".ts"))];
    }),
  );
  const order = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): number => {
    const own = order.size;
    order.set(file, own);
    open.push(file);
    let first = own;
    for (const next of importsFrom.get(file) ?? []) {
      if (!order.has(next)) first = Math.min(first, visit(next));
      else if (open.includes(next)) first = Math.min(first, order.get(next)!);
    }
    if (first === own) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1) circles.push(circle.map((path) => relative(root, path)));
    }
    return first;
  };
  for (const file of importsFrom.keys()) if (!order.has(file)) visit(file);
  return circles;
}

const describeImport = ({ file, specifier, kind }: Import) => `${relative(ROOT, file)}: ${kind} import of ${specifier}`;

describe("imports point one way", () => {
  test("every folder of packages/neobert/src has a row in the table of allowed imports", () => {
    const folders = new Set(sourceFiles(NEOBERT).map(folderOf));
    expect([...folders].filter((folder) => !(folder in ALLOWED))).toEqual([]);
  });

  test("no file of packages/neobert imports a folder that its row does not name", () => {
    const refused = sourceFiles(NEOBERT)
      .flatMap((file) => importsOf(file))
      .filter((one) => !isAllowed(one));
    expect(refused.map(describeImport)).toEqual([]);
  });

  test("packages/torch imports nothing of packages/neobert and stays in its own folder", () => {
    const refused = sourceFiles(TORCH)
      .flatMap((file) => importsOf(file))
      .filter(({ file, specifier }) =>
        specifier.startsWith(".")
          ? relative(TORCH, resolve(dirname(file), specifier)).startsWith("..")
          : /^(@neobert\/|neobert(\/|$))/.test(specifier),
      );
    expect(refused.map(describeImport)).toEqual([]);
  });

  test("loading neobert does not load @neobert/torch: no chain of static imports leads there", () => {
    const reached = new Set<string>();
    const loads: string[] = [];
    const visit = (file: string): void => {
      if (reached.has(file) || !existsSync(file)) return;
      reached.add(file);
      for (const one of importsOf(file).filter(({ kind }) => kind === "static")) {
        if (targetOf(one) === "torch") loads.push(describeImport(one));
        else if (one.specifier.startsWith(".")) visit(resolve(dirname(file), one.specifier.replace(/\.js$/, ".ts")));
      }
    };
    visit(join(NEOBERT, "index.ts"));
    expect(reached.size).toBeGreaterThan(0);
    expect(loads).toEqual([]);
  });

  test("neobert/tokenizer runs in a browser: nothing that it reaches imports a module of Node's", () => {
    const { exports } = JSON.parse(readFileSync(join(NEOBERT, "../package.json"), "utf8"));
    const entry = join(NEOBERT, exports["./tokenizer"].default.replace("./dist/", "").replace(/\.js$/, ".ts"));
    const specifiers = new Set<string>();
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const one of importsOf(file).filter(({ kind }) => kind !== "type")) {
        if (one.specifier.startsWith(".")) visit(resolve(dirname(file), one.specifier.replace(/\.js$/, ".ts")));
        else specifiers.add(one.specifier);
      }
    };
    visit(entry);
    expect(reached).toContain(join(NEOBERT, "tokenizer/tokenizer.ts"));
    expect(reached).toContain(join(NEOBERT, "tokenizer/bpe.ts"));
    // zod itself has no imports of Node's.
    expect([...specifiers]).toEqual(["zod"]);
  });

  test("no file imports itself through others, types included", () => {
    expect({ neobert: circlesOf(NEOBERT), torch: circlesOf(TORCH) }).toEqual({ neobert: [], torch: [] });
  });

  test("a file's name occurs once in packages/neobert/src, but for a command and its function, and the rooms' index.ts", () => {
    const paths = new Map<string, string[]>();
    for (const file of sourceFiles(NEOBERT)) {
      if (folderOf(file) !== "cli")
        paths.set(basename(file), [...(paths.get(basename(file)) ?? []), relative(NEOBERT, file)]);
    }
    paths.delete("index.ts");
    expect([...paths.values()].filter(({ length }) => length > 1)).toEqual([]);
  });

  test("benchmarks, checks, tools and examples reach what is built by package names and #neobert/, never by its path", () => {
    const folders = ["bench", "test", "tools", "runs", "examples"].map((name) => join(ROOT, name));
    const scripts = folders.flatMap((folder) => sourceFiles(folder, /\.(mjs|ts)$/));
    expect(scripts.length).toBeGreaterThan(50);
    const refused = scripts.filter((file) => /(\.\.|packages\/\w+)\/dist\//.test(readFileSync(file, "utf8")));
    // The browser's import map names files, and its server the folders that it may read.
    expect(refused.map((file) => relative(ROOT, file))).toEqual(["examples/browser/serve.mjs"]);
  });

  test("tools import nothing of bench and test", () => {
    const local = sourceFiles(join(ROOT, "tools"), /\.mjs$/).flatMap((file) => importsOf(file));
    const reached = local.filter(({ specifier }) => specifier.startsWith("."));
    const refused = reached.filter(({ file, specifier }) =>
      /^(bench|test)\//.test(relative(ROOT, resolve(dirname(file), specifier))),
    );
    expect(reached.length).toBeGreaterThan(0);
    expect(refused.map(describeImport)).toEqual([]);
  });

  test("the check itself refuses what the table forbids, in each form an import can have", () => {
    const refused = (path: string, text: string) =>
      importsOf(join(NEOBERT, path), text).filter((one) => !isAllowed(one)).length;
    expect(refused("tokenizer/a.ts", 'import { x } from "../hub/a.js";')).toBe(1);
    expect(refused("tokenizer/a.ts", 'export { x } from "../hub/a.js";')).toBe(1);
    expect(refused("tokenizer/a.ts", 'const x = await import("../cli/main.js");')).toBe(1);
    expect(refused("tokenizer/a.ts", 'import "./b.js"; import zlib from "node:zlib";')).toBe(0);
    expect(refused("model/neobert.ts", 'import { tensor } from "@neobert/torch";')).toBe(1);
    expect(refused("model/torch/torch-ops.ts", 'import { tensor } from "@neobert/torch";')).toBe(0);
    expect(refused("serve/http.ts", 'import { Encoder } from "../encoder/encoder.js";')).toBe(1);
    expect(refused("serve/http.ts", 'import { type Encoder } from "../encoder/encoder.js";')).toBe(1);
    expect(refused("serve/http.ts", 'import type { Encoder } from "../encoder/encoder.js";')).toBe(0);
    expect(refused("train/loop.ts", 'import { run } from "../cli/main.js";')).toBe(1);
    expect(refused("data/reader.ts", 'import { Tensor } from "neobert";')).toBe(1);
    expect(refused("evaluate/a.ts", 'import { cutByTokens } from "../engine/planner.js";')).toBe(0);
    expect(refused("evaluate/a.ts", 'import { EngineThread } from "../engine/engine-thread.js";')).toBe(1);
  });
});
