// Path patterns: `*` and `?` stay within a folder, `**` crosses folders. A pattern is matched against the whole path,
// written with `/` on every system. Files of the disk and files of the Hub are chosen by the same rules.

export function isGlob(path: string): boolean {
  return /[*?]/.test(path);
}

/** The pattern as an anchored regular expression; `a/**` + `/b` also matches `a/b`. */
export function globToRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|[\\^$.|+()[\]{}]/g, (token) => {
    if (token === "**/") return "(?:.*/)?";
    if (token === "**") return ".*";
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`, "s");
}
