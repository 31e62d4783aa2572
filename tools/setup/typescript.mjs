// The workspaces' compiled JavaScript: worker threads load from it, so tests and commands run after it is made.
// `tsc -b` is incremental but takes a second to see that nothing changed; a hash over the sources takes milliseconds.
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hashFiles, listFiles, readText, run, SetupError, tail } from "./steps.mjs";

/** Compiles the project references of `root`'s tsconfig.json unless no source changed; returns what it did. */
export async function compileTypeScript({ root, workspaces, stamp, logFile }) {
  const compiler = join(root, "node_modules", "typescript");
  const configs = listFiles(root, (path) => /^(packages\/\w+\/)?tsconfig.*\.json$/.test(path));
  const sources = workspaces.flatMap((folder) =>
    listFiles(join(folder, "src"), (path) => path.endsWith(".ts") && !path.endsWith(".test.ts")),
  );
  const hash = hashFiles([...configs, ...sources, join(compiler, "package.json")]);
  const whole = workspaces.every((folder) => existsSync(join(folder, "dist", ".tsbuildinfo")));
  if (whole && readText(stamp) === hash) return "up to date";
  rmSync(stamp, { force: true });
  const { code, output } = await run(process.execPath, [join(compiler, "bin", "tsc"), "-b"], { cwd: root, logFile });
  if (code !== 0) {
    throw new SetupError(
      `${tail(output)}\nset-up: TypeScript does not compile\nmend the errors above and run the command again`,
    );
  }
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
  return `compiled, ${sources.length} files`;
}
