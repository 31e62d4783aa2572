// What is wrong with what a person gave, as against what went wrong while it was worked on: the program's status tells them apart.

/** The command line, a run file, or a file or folder that they name is not as it must be. */
export class InputError extends Error {
  override readonly name = "InputError";
}
