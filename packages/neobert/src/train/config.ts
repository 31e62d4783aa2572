// Reads and writes the file of a run, `neobert pretrain RUN.yaml [key=value ...]`. Strict: an unknown key or a wrong
// type is an error with file and line. Overrides are set in the parsed YAML before validation, so they obey the same
// rules and can add, replace or reach into any option.

import { readFileSync } from "node:fs";
import { type Document, LineCounter, parseDocument, stringify, type YAMLError } from "yaml";
import { describeComplaints, describeIssues, dotted, type Source } from "./config-errors.js";
import { checkCombinations, type RunConfig, resolveDefaults, runSchema } from "./config-schema.js";

export type { RunConfig } from "./config-schema.js";

export interface ParseOptions {
  /** Name of the file, for messages. */
  file: string;
  /** `key=value` texts; keys are dotted, values YAML (`1e-4`, `true`, `[0.9, 0.98]`). */
  overrides?: readonly string[];
}

function firstError(errors: YAMLError[], where: (error: YAMLError) => string): void {
  const [error] = errors;
  if (error) throw new Error(`${where(error)}: expected YAML, got an error: ${error.message}`);
}

function applyOverride(document: Document, text: string): Source["overrides"][number] {
  const equals = text.indexOf("=");
  if (equals < 1) {
    throw new Error(`override ${text}: expected key=value, got no key before "="\nWrite for example optimizer.lr=1e-4`);
  }
  const path = text.slice(0, equals).split(".");
  const value = parseDocument(text.slice(equals + 1), { prettyErrors: false });
  firstError(value.errors, () => `override ${text}`);
  try {
    document.setIn(path, document.createNode(value.toJS()));
  } catch {
    const parent = dotted(path.slice(0, -1));
    throw new Error(
      `override ${text}: expected ${parent} to be a mapping or list in the file, got a single value\n` +
        `Override all of it, ${parent}={ ${path.at(-1)}: ... }`,
    );
  }
  return { path, text };
}

/**
 * The run that YAML text and overrides describe, with every default filled in. Paths stay relative to the working
 * directory. Throws one error naming every unknown key, wrong type and contradiction with its line or override.
 */
export function parseRunConfig(yamlText: string, options: ParseOptions): RunConfig {
  const { file, overrides = [] } = options;
  const lines = new LineCounter();
  const document = parseDocument(yamlText, { lineCounter: lines, prettyErrors: false });
  firstError(document.errors, (error) => `${file}:${lines.linePos(error.pos[0]).line}`);
  const applied = overrides.map((text) => applyOverride(document, text));
  const source: Source = { file, document, lines, overrides: applied };

  const parsed = runSchema.safeParse(document.toJS());
  if (!parsed.success) throw new Error(describeIssues(parsed.error.issues, runSchema, source));
  const complaints = checkCombinations(parsed.data);
  if (complaints.length > 0) throw new Error(describeComplaints(complaints, source));
  return resolveDefaults(parsed.data);
}

/** `parseRunConfig` of a file. Throws as it does, and when the file cannot be read. */
export function loadRunConfig(path: string, overrides: readonly string[] = []): RunConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new Error(`${path}: expected a run file, got none that can be read\nThe folder runs/ has examples.`, {
      cause,
    });
  }
  return parseRunConfig(text, { file: path, overrides });
}

/** The resolved run as YAML, which parses back to the same run; saved in the run's folder. */
export function formatRunConfig(config: RunConfig): string {
  return stringify(config, { lineWidth: 120 });
}
