// Complaints about a run file, as a person wants to read them: `file:line: key: expected WHAT, got WHAT`, unknown keys
// with the nearest known one, overrides named as they were typed. Lines come from the parsed YAML document.

import { type Document, isMap, isNode, isScalar, type LineCounter } from "yaml";
import { z } from "zod";
import { shortened } from "../../files/checked.js";

export interface Complaint {
  path: string[];
  message: string;
}

/** Collects complaints: `expect(holds, "dotted.path", "expected WHAT, got WHAT")`. */
export function complaining(): {
  complaints: Complaint[];
  expect(holds: boolean, path: string, message: string): void;
} {
  const complaints: Complaint[] = [];
  const expect = (holds: boolean, path: string, message: string) => {
    if (!holds) complaints.push({ path: path.split("."), message });
  };
  return { complaints, expect };
}

/** What is needed to say where a value came from. */
export interface SettingSource {
  file: string;
  document: Document;
  lines: LineCounter;
  /** Values set over the document's, in order: the path, and `override KEY=VALUE` or the extending file with its line. */
  overrides: { path: string[]; where: string }[];
}

/** A dotted key as it is typed, `data.train.0.weight`. */
export const dotted = (path: readonly PropertyKey[]) => path.map(String).join(".");

const isWithin = (path: readonly string[], folder: readonly string[]) => folder.every((part, i) => part === path[i]);

function where(source: SettingSource, path: readonly string[], atKey: boolean): string {
  const override = source.overrides.findLast(
    (entry) => isWithin(path, entry.path) || (atKey && isWithin(entry.path, path)),
  );
  if (override) return override.where;
  for (let depth = path.length; depth > 0; depth--) {
    const node = source.document.getIn(path.slice(0, depth), true);
    if (!isNode(node) || !node.range) continue;
    const parent = source.document.getIn(path.slice(0, depth - 1), true);
    const pair = isMap(parent)
      ? parent.items.find((item) => isScalar(item.key) && item.key.value === path[depth - 1])
      : null;
    const key = atKey && depth === path.length && isNode(pair?.key) ? pair.key.range : null;
    return `${source.file}:${source.lines.linePos((key ?? node.range)[0]).line}`;
  }
  return source.file;
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "nothing (null)";
  const text = JSON.stringify(value);
  const short = shortened(text, 60);
  return Array.isArray(value) ? `the list ${short}` : typeof value === "object" ? `the mapping ${short}` : short;
}

const typeNames: Record<string, string> = {
  object: "a mapping",
  array: "a list",
  tuple: "a list",
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
};

function expected(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? issue.expected;
    case "invalid_value":
      return `one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      if (issue.origin === "array") return `a list of at least ${issue.minimum}`;
      if (issue.origin === "string") return "a text that is not empty";
      return `${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      if (issue.origin === "array") return `a list of at most ${issue.maximum}`;
      return `${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    default:
      return issue.message;
  }
}

/** Edit distance between two words: insertions, deletions and substitutions cost 1. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** The known word closest to `word` (upper and lower case alike), or undefined when none shares most of its letters. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const distance = (other: string) => editDistance(word.toLowerCase(), other.toLowerCase());
  const [best] = known.toSorted((a, b) => distance(a) - distance(b));
  return best !== undefined && distance(best) <= Math.max(2, Math.floor(best.length / 3)) ? best : undefined;
}

type JsonSchema = { description?: string; properties?: Record<string, JsonSchema>; items?: JsonSchema };

function schemaAt(schema: z.ZodType, path: readonly string[]): JsonSchema {
  let node = z.toJSONSchema(schema, { unrepresentable: "any" }) as JsonSchema;
  for (const part of path) node = node.properties?.[part] ?? node.items ?? {};
  return node;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], root);
}

/** More complaints than this no one reads. */
const MOST_COMPLAINTS = 100;

/** Turns zod's findings into lines for a person, one complaint after another; of very many the first. */
export function describeIssues(issues: z.core.$ZodIssue[], schema: z.ZodType, source: SettingSource): string {
  const root = source.document.toJS();
  const more = Math.max(0, issues.length - MOST_COMPLAINTS);
  return issues
    .slice(0, MOST_COMPLAINTS)
    .flatMap((issue) => {
      const path = issue.path.map(String);
      const label = path.length > 0 ? `${dotted(path)}: ` : "";
      if (issue.code !== "unrecognized_keys") {
        const { description } = schemaAt(schema, path);
        const got = `${label}expected ${expected(issue)}, got ${shown(valueAt(root, path))}`;
        return `${where(source, path, false)}: ${got}${description ? `\n${dotted(path)}: ${description}.` : ""}`;
      }
      const known = Object.keys(schemaAt(schema, path).properties ?? {});
      return issue.keys.slice(0, MOST_COMPLAINTS).map((key) => {
        const short = shortened(key, 200);
        const near = nearest(short, known);
        const hint = near ? `Did you mean "${near}"? ` : "";
        const got = `${label}expected a known key, got "${short}"`;
        return `${where(source, [...path, key], true)}: ${got}\n${hint}Keys there: ${known.join(", ")}`;
      });
    })
    .concat(more > 0 ? [`${source.file}: and ${more} more`] : [])
    .join("\n");
}

/** The same form for complaints about combinations of options. */
export function describeComplaints(complaints: Complaint[], source: SettingSource): string {
  return complaints.map(({ path, message }) => `${where(source, path, false)}: ${dotted(path)}: ${message}`).join("\n");
}
