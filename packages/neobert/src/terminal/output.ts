// Standard output as a command's result: written no faster than its reader takes it, and what happens where nobody takes it.

/** Writes to standard output; resolves when it has been taken. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}

/**
 * From now on the program ends where its output cannot be written. A reader that has gone away (`| head`) has what it
 * wanted: quietly, with the status of a program that SIGPIPE ends. Else with one line, and status 1.
 */
export function endWithOutput(): void {
  for (const [name, stream] of [
    ["standard output", process.stdout],
    ["standard error", process.stderr],
  ] as const) {
    stream.on("error", ({ code, message }: NodeJS.ErrnoException) => {
      if (code === "EPIPE") process.exit(141);
      if (name === "standard output") console.error(`${name}: expected room for the results, got ${message}`);
      process.exit(1);
    });
  }
}
