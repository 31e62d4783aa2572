// Where the worker entries of this folder lie. Workers run compiled JavaScript only, so a caller that is itself run from
// the sources (a test) is sent to the compiled twin in dist.

/** The URL of the compiled worker entry `name` (no extension) of this folder. */
export function workerFile(name: string): URL {
  return new URL(`${name}.js`, import.meta.url.replace(/\/src\/data\/(?=[^/]*$)/, "/dist/data/"));
}
