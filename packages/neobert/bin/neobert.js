#!/usr/bin/env node
// The `neobert` program. Its exit status: 0 when the command did its work, 1 when it did not, 2 where what it was given is wrong,
// 130 when Ctrl-C stopped it, 143 when SIGTERM did, 141 when the reader of its output went away before the end, and those
// of training (terminal/exit-status.ts). npm links this file when it installs the package, before the sources are compiled: hence
// JavaScript, which is always there.
import { CommanderError } from "commander";
import { buildProgram, errorText } from "../dist/cli/program.js";
import { followLauncher } from "../dist/launch/launched.js";
import { exitStatus, statusOf } from "../dist/terminal/exit-status.js";
import { endWithOutput } from "../dist/terminal/output.js";

endWithOutput();
followLauncher();

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
    process.exitCode ??= error.exitCode === 0 ? 0 : exitStatus.badInput; // what it has to say, help or a complaint, is said
  } else {
    console.error(errorText(error, undefined, options));
    process.exitCode ??= statusOf(error);
  }
}
