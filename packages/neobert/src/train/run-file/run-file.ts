// Reads and writes the file of a run, `neobert pretrain RUN.yaml [key=value ...]`, whatever it trains, and the table of its
// options (`--help-config`). Strict: an unknown key or a wrong type is an error with file and line. Overrides are set in the
// parsed YAML before validation, so they obey the same rules and can add, replace or reach into any option; so are the
// options of a file that `extends: BASE.yaml`, a path seen from its own folder.

import { readFileSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { type Document, isMap, isNode, LineCounter, parseDocument, stringify, type YAMLError } from "yaml";
import { z } from "zod";
import { shown } from "../../files/checked.js";
import { InputError } from "../../files/input-error.js";
import { refuseLfsPointer } from "../../files/input-file.js";
import { notYaml } from "../../files/yaml.js";
import { type Complaint, describeComplaints, describeIssues, dotted, type SettingSource } from "./complaints.js";

export interface ParseOptions {
  /** Name of the file, for messages. */
  file: string;
  /** `key=value` texts; keys are dotted, values YAML (`1e-4`, `true`, `[0.9, 0.98]`). */
  overrides?: readonly string[];
}

/** A kind of run file: its options, what they must fulfil together, and the defaults that depend on other options. */
export interface RunFile<C> {
  schema: z.ZodType<C>;
  /** Fills in what the file leaves out and what follows from the rest of it, before anything is checked. */
  complete?(raw: unknown): unknown;
  check(config: C): Complaint[];
  resolve(config: C): C;
}

function firstError(errors: YAMLError[], where: (error: YAMLError) => string): void {
  const [error] = errors;
  if (error) throw notYaml(where(error), error);
}

function applyOverride(document: Document, text: string): SettingSource["overrides"][number] {
  const equals = text.indexOf("=");
  if (equals < 1) {
    throw new InputError(
      `override ${text}: expected key=value, got no key before "="\nWrite for example optimizer.lr=1e-4`,
    );
  }
  const path = text.slice(0, equals).split(".");
  const value = parseDocument(text.slice(equals + 1), { prettyErrors: false, logLevel: "error" });
  firstError(value.errors, () => `override ${text}`);
  const given = plainValue(value, `override ${text}`);
  try {
    document.setIn(path, document.createNode(given));
  } catch {
    const parent = dotted(path.slice(0, -1));
    throw new InputError(
      `override ${text}: expected ${parent} to be a mapping or list in the file, got a single value\n` +
        `Override all of it, ${parent}={ ${path.at(-1)}: ... }`,
    );
  }
  return { path, where: `override ${text}` };
}

/** The YAML of a file, set over that of the file it extends, if any. `extending` are the files that extend this one. */
function readSource(yamlText: string, file: string, extending: readonly string[] = []): SettingSource {
  const lines = new LineCounter();
  const document = parseDocument(yamlText, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  firstError(document.errors, (error) => `${file}:${lines.linePos(error.pos[0]).line}`);
  const own: SettingSource = { file, document, lines, overrides: [] };
  const base = isMap(document.contents) ? document.get("extends") : undefined;
  if (base === undefined) return own;
  if (typeof base !== "string") throw new InputError(`${file}: extends: expected a run file, got ${shown(base)}`);
  document.delete("extends");
  const path = isAbsolute(base) ? base : join(dirname(file), base);
  if ([...extending, file].includes(path)) {
    throw new InputError(`${file}: extends: expected a file that does not extend this one, got ${base}`);
  }
  const source = readSource(readRunText(path), path, [...extending, file]);
  if (source.document.contents !== null && !isMap(source.document.contents)) {
    throw new InputError(`${path}: expected a mapping of options to extend, got ${shown(source.document.toJS())}`);
  }
  setOver(source, own);
  return source;
}

/** What a document says. Throws at an alias without its anchor, or where it is too deep. */
function plainValue(document: Document, where: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw notYaml(where, error as Error);
  }
}

/** Sets every value of `own` in `source`: mappings are joined, anything else is replaced. */
function setOver(source: SettingSource, own: SettingSource, path: string[] = []): void {
  const map = own.document.getIn(path, true);
  if (!isMap(map)) return;
  for (const { key, value } of map.items) {
    const here = [...path, String(key)];
    if (isMap(value) && isMap(source.document.getIn(here, true))) setOver(source, own, here);
    else {
      source.document.setIn(here, source.document.createNode(own.document.getIn(here)));
      const line = isNode(key) && key.range ? own.lines.linePos(key.range[0]).line : 1;
      source.overrides.push({ path: here, where: `${own.file}:${line}` });
    }
  }
}

function readRunText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path); // a pipe will do
  } catch (cause) {
    throw new InputError(`${path}: expected a run file, got none that can be read\nThe folder runs/ has examples.`, {
      cause,
    });
  }
  refuseLfsPointer(path, bytes);
  return bytes.toString("utf8");
}

/**
 * The run that YAML text and overrides describe, with every default filled in. Paths stay relative to the working
 * directory. Throws one error naming every unknown key, wrong type and contradiction with its line or override.
 */
export function parseRunFile<C>(
  { schema, complete, check, resolve }: RunFile<C>,
  yamlText: string,
  options: ParseOptions,
): C {
  const { file, overrides = [] } = options;
  const source = readSource(yamlText, file);
  const { document } = source;
  source.overrides.push(...overrides.map((text) => applyOverride(document, text)));

  const raw = plainValue(document, file);
  const parsed = schema.safeParse(complete ? complete(raw) : raw);
  if (!parsed.success) throw new InputError(describeIssues(parsed.error.issues, schema, source));
  const complaints = check(parsed.data);
  if (complaints.length > 0) throw new InputError(describeComplaints(complaints, source));
  return resolve(parsed.data);
}

/** `parseRunFile` of a file. Throws as it does, and when the file cannot be read. */
export function loadRunFile<C>(kind: RunFile<C>, path: string, overrides: readonly string[] = []): C {
  return parseRunFile(kind, readRunText(path), { file: path, overrides });
}

/** The resolved run as YAML, which parses back to the same run; saved in the run's folder. */
export function formatRunConfig(config: object): string {
  return stringify(config, { lineWidth: 120 });
}

interface Schema {
  type?: string;
  description?: string;
  default?: unknown;
  /** Shown in place of a default that depends on other options or on the machine. */
  fallback?: string;
  enum?: string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  prefixItems?: Schema[];
}

function typeOf(schema: Schema): string {
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  if (schema.prefixItems) return `${schema.prefixItems.length} numbers`;
  const names: Record<string, string> = {
    integer: "whole number",
    string: "text",
    boolean: "true, false",
    array: "list",
  };
  return schema.type === "object" ? "" : (names[schema.type ?? ""] ?? schema.type ?? "");
}

function rows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, option]) => {
    const name = prefix + key;
    const hasDefault = option.default !== undefined && option.type !== "object";
    const fallback = option.fallback ?? (hasDefault ? `\`${JSON.stringify(option.default)}\`` : "");
    const isNeeded = schema.required?.includes(key);
    const cells = [`\`${name}\``, typeOf(option), isNeeded ? "needed" : fallback, option.description ?? ""];
    const below = option.type === "array" ? rows(option.items ?? {}, `${name}.0.`) : rows(option, `${name}.`);
    return [`| ${cells.join(" | ")} |`, ...below];
  });
}

/** A markdown table of every option: dotted key, type, default, meaning. */
export function configReference(options: z.ZodType): string {
  const schema = z.toJSONSchema(options, { unrepresentable: "any", io: "input" }) as Schema;
  return ["| Option | Type | Default | Meaning |", "|---|---|---|---|", ...rows(schema, "")].join("\n");
}
