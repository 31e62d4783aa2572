// The `neobert` program. Exit status 0 when the command did its work, 1 when it did not, 141 when the reader of its output
// went away before the end.

import { endWithOutput } from "../terminal/output.js";
import { buildProgram, errorText } from "./program.js";

endWithOutput();

try {
  const args = process.argv.slice(2);
  const program = await buildProgram(args);
  await program.parseAsync(args, { from: "user" });
} catch (error) {
  console.error(errorText(error));
  process.exitCode = 1;
}
