import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { Command, type CommanderError } from "commander";
import ts from "typescript";
import { expect, test } from "vitest";
import { buildProgram, errorText } from "./program.js";

/** Two commands of which only `brew` may be loaded; what they are given lands in `poured`. */
function kitchen() {
  const poured: unknown[] = [];
  const brew = () =>
    new Command("brew")
      .option("--strong")
      .argument("<pot>")
      .action((pot, options) => {
        poured.push([pot, options]);
      });
  const table: Record<string, readonly [string, () => Promise<Command>]> = {
    brew: ["make tea", async () => brew()],
    burn: ["make toast", () => Promise.reject(new Error("burn was loaded"))],
  };
  return { poured, table };
}

async function run(args: string[], table = kitchen().table): Promise<{ output: string; code: string }> {
  let output = "";
  const write = (text: string) => {
    output += text;
  };
  const program = await buildProgram(args, table);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ writeOut: write, writeErr: write });
  }
  const code = await program.parseAsync(args, { from: "user" }).then(
    () => "",
    (error: CommanderError) => error.code,
  );
  return { output, code };
}

test("the help lists every command without loading one", async () => {
  const { output } = await run(["--help"], {
    ...kitchen().table,
    brew: ["make tea", () => Promise.reject(new Error("brew was loaded"))],
  });
  expect(output).toMatch(/brew +make tea/);
  expect(output).toMatch(/burn +make toast/);
});

test("a command gets its own arguments and options, and no other command is loaded", async () => {
  const { poured, table } = kitchen();
  await run(["brew", "big", "--strong"], table);
  expect(poured).toEqual([["big", { strong: true }]]);
  expect((await run(["help", "brew"])).output).toContain("--strong");
});

test("the commands of the package are in the help", async () => {
  const help = (await buildProgram([])).helpInformation();
  const names =
    "tokenizer data pretrain evaluate embed similarity rerank classify fill-mask info export setup-torch".split(" ");
  for (const name of names) expect(help).toMatch(new RegExp(`^ +${name}\\b`, "m"));
});

test("no help, version or complaint about usage loads libtorch or ONNX Runtime", () => {
  const script = `
    import { buildProgram } from ${JSON.stringify(new URL("../../dist/cli/program.js", import.meta.url).href)};
    const natives = () => process.report.getReport().sharedObjects.filter((path) => /(torch|onnxruntime)[^/]*$/.test(path));
    const run = async (...args) => {
      await (await buildProgram(args)).parseAsync(args, { from: "user" }).catch(() => {});
      if (natives().length > 0) throw new Error(args.join(" ") + " loads " + natives()[0]);
      runs++;
    };
    const walk = async (path, command) => {
      await run(...path, "--help");
      await run(...path, "--no-such-option");
      if (command.options.some(({ long }) => long === "--help-config")) await run(...path, "--help-config");
      for (const part of command.commands) await walk([...path, part.name()], part);
    };
    let runs = 0;
    await run("--version");
    for (const name of (await buildProgram([])).commands.map((command) => command.name())) {
      await walk([name], (await buildProgram([name])).commands.find((command) => command.name() === name));
    }
    process.stdout.write("\\nruns " + runs);
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    stdio: "pipe",
  });
  expect(Number(/\nruns (\d+)$/.exec(output)?.[1])).toBeGreaterThan(60);
});

test("a misspelt command is refused with the one that was meant", async () => {
  const { output, code } = await run(["brwe"]);
  expect(code).toBe("commander.unknownCommand");
  expect(output).toContain("Did you mean brew?");
});

test("--version prints the package's version", async () => {
  expect((await run(["--version"])).output).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("a known error shows its message and cause, a bug or NEOBERT_DEBUG=1 the stack", () => {
  const known = new Error("RUN.yaml:3: steps: expected a number, got nothing", { cause: new Error("ENOENT") });
  expect(errorText(known, false)).toBe("RUN.yaml:3: steps: expected a number, got nothing (ENOENT)");
  expect(errorText(known, true)).toContain("program.test.ts");
  expect(errorText({ reason: "no room" }, false)).toBe('neobert: {"reason":"no room"}');
  expect(errorText(new Error("internal: row without a batch"), false)).toContain("program.test.ts");
  expect(errorText(new TypeError("x is not a function"), false)).toContain("program.test.ts");
  expect(errorText(new TypeError("fetch failed", { cause: new Error("no route") }), false)).toBe(
    "fetch failed (no route)",
  );
  expect(errorText("stopped", false)).toBe("neobert: stopped");
});

test("the options that an error names are flags of the command that was run", async () => {
  const { options } = new Command().option("--max-tokens <n>").option("--no-force");
  const error = new Error("encode: expected `maxTokens` above 0, got -1\nLeave it out, or see `modules`.");
  expect(errorText(error, false, options)).toBe(
    "encode: expected --max-tokens above 0, got -1\nLeave it out, or see `modules`.",
  );
});

test("every error of a command says the way out in a second line", () => {
  const folder = new URL(".", import.meta.url);
  const found = readdirSync(folder).filter((name) => /(?<!\.test)\.ts$/.test(name));
  const errors = found.flatMap((name) => {
    const source = ts.createSourceFile(name, readFileSync(new URL(name, folder), "utf8"), ts.ScriptTarget.Latest, true);
    return [...newErrors(source)].map((text) => ({ name, text }));
  });
  expect(errors.length).toBeGreaterThan(10);
  const oneLine = errors.filter(({ text }) => text.includes("expected") && !text.includes("\\n"));
  expect(oneLine).toEqual([]);
});

/** The text of each `new ...Error(...)`. */
function* newErrors(node: ts.Node): Generator<string> {
  if (ts.isNewExpression(node) && /Error$/.test(node.expression.getText())) yield node.getText();
  for (const child of node.getChildren()) yield* newErrors(child);
}
