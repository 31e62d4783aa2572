#!/usr/bin/env node
// The `neobert` program. Exit status 0 when the command did its work, 1 when it did not, 130 when
// Ctrl-C stopped it, 143 when SIGTERM did, 141 when the reader of its output went away before the end. npm links this file when it installs
// the package, before the sources are compiled: hence JavaScript, which is always there.
import { CommanderError } from "commander";
import { buildProgram, errorText } from "../dist/cli/program.js";
import { endWithOutput } from "../dist/terminal/output.js";

endWithOutput();

let options = [];
try {
  const args = process.argv.slice(2);
  const program = await buildProgram(args);
  program.hook("preAction", (_, command) => {
    options = command.options;
  });
  await program.parseAsync(args, { from: "user" });
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode ??= error.exitCode; // what it has to say, help or a complaint, is said
  } else {
    console.error(errorText(error, undefined, options));
    process.exitCode ??= 1;
  }
}
