// What mutants of files found wrong in errors about them.

import { expect, test } from "vitest";
import { z } from "zod";
import { checked, shown } from "./checked.js";
import { parseYaml } from "./yaml.js";

test("values of any depth, size and type are shown in a line", () => {
  const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`);
  expect(shown(deep)).toBe("a value of too many levels to show");
  expect(shown({ id: 2n ** 60n, name: "x".repeat(1000) })).toMatch(/^\{"id":"1152921504606846976","name":"x+\.\.\.$/);
  expect(shown(undefined)).toBe("nothing");
});

test("the first field of another form is named with what came", () => {
  const schema = z.strictObject({ a: z.array(z.object({ b: z.int().positive() })) });
  const form = { where: "a.json", wayOut: "Fetch it again." };
  const refused = (value: unknown) => expect(() => checked(value, schema, form));
  expect(checked({ a: [{ b: 1 }] }, schema, form)).toEqual({ a: [{ b: 1 }] });
  refused({ a: [{ b: 1 }, { b: { toString: 1 } }] }).toThrow(
    'a.json: a.1.b: expected number, got {"toString":1}\nFetch it again.',
  );
  refused(null).toThrow("a.json: expected object, got null");
  refused({ a: [], c: 1 }).toThrow('a.json: expected known keys alone, got ["c"]');
});

test("YAML without a bottom, and aliases without an anchor, are refused with the file", () => {
  expect(() => parseYaml(`a: ${"[".repeat(20_000)}`, "a.yaml")).toThrow(
    "a.yaml: expected YAML, got an error: more levels than can be read",
  );
  expect(() => parseYaml("a: *b", "a.yaml")).toThrow(/^a\.yaml: expected YAML, got an error: .*b/);
  expect(() => parseYaml("a: [1", "a.yaml")).toThrow(/^a\.yaml: expected YAML/);
});
