// The pages that say where things are name files that are there.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The files that a page names in code spans or links, as paths from the repository's root. */
function filesNamedIn(page: string): string[] {
  const text = readFileSync(ROOT + page, "utf8");
  const spans = [
    ...text.matchAll(/`((?:packages|test|tools|runs|bench|docs|[a-z]+)\/[\w./-]+\.(?:ts|mjs|cc|h|yaml|md))`/g),
  ];
  return spans
    .map(([, path]) => path!)
    .filter((path) => !/^(out|text|node_modules|model)\/[a-z]+\.(json|txt)$/.test(path));
}

test.each(["docs/architecture.md", "README.md", "CONTRIBUTING.md", "docs/scaling.md", "docs/gpu.md"])(
  "%s names only files that exist",
  (page) => {
    const named = filesNamedIn(page);
    expect(named.length).toBeGreaterThan(0);
    const below = ["", "packages/neobert/src/", "docs/"];
    expect(named.filter((path) => !below.some((folder) => existsSync(ROOT + folder + path)))).toEqual([]);
  },
);
