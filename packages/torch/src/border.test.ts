// The whole border to C++, drawn at random: every function that the addon exports, by its type in native.ts, with arguments
// that fit and arguments that do not. Each call gives a result or an error that says where; the process lives, and no byte
// beside an array changes. In processes of their own, so that a crash names its call. BORDER_RUNS and BORDER_SEED draw others.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { native } from "./native.js";

interface Signature {
  name: string;
  parameters: { name: string; type: string }[];
}

interface Ended {
  name: string;
  accepted: number;
  refused: number;
  faults: string[];
}

const RUNS = Number(process.env.BORDER_RUNS ?? 250);
const SEED = Number(process.env.BORDER_SEED ?? 1);
const SILENT_MS = 120_000;

// They reach names, files and processes beyond this one, whatever is drawn: distributed.test.ts has them.
const REACHING = new Set(["fileStore", "routeTo", "tcpStore"]);

// They take nothing where there is no GPU.
const OF_GPUS = new Set(["deviceMemoryStats", "emptyDeviceCache", "synchronize", "useCuda"]);

/** The functions of the interface `Native`, their parameters' types as they are written there. */
function signaturesOf(file: string): Signature[] {
  const program = ts.createProgram([file], { strict: true, target: ts.ScriptTarget.ES2022, types: [] });
  const checker = program.getTypeChecker();
  let found: ts.TypeAliasDeclaration | undefined;
  ts.forEachChild(program.getSourceFile(file)!, (node) => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text === "Native") found = node;
  });
  return checker
    .getPropertiesOfType(checker.getTypeAtLocation(found!))
    .map((property) => {
      const [signature] = checker.getTypeOfSymbol(property).getCallSignatures();
      const parameters = signature!.parameters.flatMap(({ valueDeclaration }) => {
        const { name, type, dotDotDotToken } = valueDeclaration as ts.ParameterDeclaration;
        if (!dotDotDotToken) return { name: name.getText(), type: type!.getText() };
        const { target } = checker.getTypeAtLocation(type!) as ts.TupleTypeReference;
        return target.labeledElementDeclarations!.map((element) => ({
          name: element!.name.getText(),
          type: element!.type!.getText(),
        }));
      });
      return { name: property.name, parameters };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Runs the calls of `functions`, in a new process after each that ends a process: a fault as well. */
async function run(functions: Signature[], callFile: string): Promise<Ended[]> {
  const ended: Ended[] = [];
  while (ended.length < functions.length) {
    const order = { seed: SEED, runs: RUNS, callFile, functions: functions.slice(ended.length) };
    const { lines, end } = await runProcess(order);
    ended.push(...lines);
    if (ended.length === functions.length) break;
    const call = readFileSync(callFile, "utf8").split("\n")[0]!.trimEnd();
    ended.push({ name: functions[ended.length]!.name, accepted: 0, refused: 0, faults: [`${call}: ${end}`] });
  }
  return ended;
}

function runProcess(order: object): Promise<{ lines: Ended[]; end: string }> {
  const script = fileURLToPath(new URL("../test/border.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(order)], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  let silence: NodeJS.Timeout;
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(() => child.kill("SIGKILL"), SILENT_MS);
  };
  watch();
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
      watch();
    });
  }
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      clearTimeout(silence);
      const lines = output.stdout.split("\n").slice(0, -1);
      const end = `the process ended by ${signal ?? `code ${code}`}\n${output.stderr.slice(0, 2000)}`;
      resolve({ lines: lines.map((line) => JSON.parse(line) as Ended), end });
    });
  });
}

describe("the border to C++", () => {
  const signatures = signaturesOf(fileURLToPath(new URL("./native.ts", import.meta.url)));
  const drawn = signatures.filter(({ name }) => !REACHING.has(name));
  const folder = mkdtempSync(join(tmpdir(), "border-"));
  const ended = new Map<string, Ended>();
  beforeAll(async () => {
    const halves = [0, 1].map((half) => drawn.filter((_, i) => i % 2 === half));
    const all = await Promise.all(halves.map((half, i) => run(half, join(folder, `call-${i}`))));
    for (const one of all.flat()) ended.set(one.name, one);
  }, 900_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  test("has a type in native.ts for each function that the addon exports, and no other", () => {
    expect(signatures.map(({ name }) => name)).toEqual(Object.keys(native).sort());
  });

  test.each(drawn.map(({ name }) => name))("%s gives a result or an error that says where", (name) => {
    expect(ended.get(name)?.faults).toEqual([]);
  });

  test("is crossed: each function takes some of what is drawn for it, and each that has arguments refuses some", () => {
    const names = (keep: (one: Ended) => boolean) => [...ended.values()].filter(keep).map(({ name }) => name);
    // A store, group or work cannot be drawn, nor parts of a packed layer that fit each other: whatever else stands for them is refused.
    const isUndrawn = (type: string) => /^External$|^Packed/.test(type);
    const undrawn = drawn.filter(({ parameters }) => parameters.some(({ type }) => isUndrawn(type)));
    const taking = names(({ accepted }) => accepted === 0).filter((name) => !OF_GPUS.has(name));
    expect(taking.sort()).toEqual(undrawn.map(({ name }) => name));
    const without = signatures.filter(({ parameters }) => parameters.length === 0).map(({ name }) => name);
    expect(names(({ refused }) => refused === 0).sort()).toEqual([...without, "setGradEnabled"].sort());
  });
});
