// Matches of a regular expression in a text. A pattern of a tokenizer.json is a stranger's: one like (a+)+$ takes for ever
// on thirty letters, in JavaScript as in Rust. What can take more than quadratic time by its form runs with a clock, in
// Node's `vm`; where there is none (a browser, Node before 20.16) it runs without.

/** Start and end of each match in turn: start, end, start, end ... */
export type Matcher = (text: string) => number[];

/** Milliseconds that a text may take, and characters that are worth another one. */
const BUDGET_MS = 800;
const CHARACTERS_PER_MS = 100;

/** The matches of `pattern`, which has the flag g. `where` names its place in errors. */
export function matcherOf(pattern: RegExp, where = "pattern"): Matcher {
  const find = (text: string) => {
    const places: number[] = [];
    pattern.lastIndex = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      places.push(match.index, match.index + match[0].length);
      if (match[0] === "") pattern.lastIndex += text.codePointAt(match.index)! > 0xffff ? 2 : 1;
    }
    return places;
  };
  return mayExplode(pattern.source) ? withClock(find, pattern, where) : find;
}

/**
 * Whether a pattern's form allows more than quadratic time: repeated groups, backreferences, or more than two repetitions
 * without a bound in one alternative. What GPT-2 and its heirs cut words by does not.
 */
function mayExplode(source: string): boolean {
  let repetitions = 0;
  let before = "";
  for (const [token] of source.matchAll(
    /\\[pPu]\{[^}]*\}|\\k<|\\.|\[(?:\\.|[^\]\\])*\]|\(\?<?[:=!]|\{\d+(?:,\d*)?\}|[\s\S]/gu,
  )) {
    if (/^\\([1-9]|k<)/.test(token)) return true;
    if (token === "|") repetitions = 0;
    const isOpen = token === "*" || token === "+" || /^\{\d+,\}$/.test(token);
    const isRepeated = isOpen || /^\{/.test(token);
    if (isRepeated && before === ")") return true;
    if (isOpen && ++repetitions > 2) return true;
    before = token;
  }
  return false;
}

function withClock(find: Matcher, pattern: RegExp, where: string): Matcher {
  const vm = globalThis.process?.getBuiltinModule?.("node:vm");
  if (vm === undefined) return find;
  const context = vm.createContext({ find, text: "" });
  const script = new vm.Script("find(text)");
  return (text) => {
    context.text = text;
    const timeout = Math.ceil(BUDGET_MS + text.length / CHARACTERS_PER_MS);
    try {
      return script.runInContext(context, { timeout }) as number[];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      throw new Error(
        `tokenizer.json: expected ${where} to find its matches in a text of ${text.length} characters within ${timeout} ms, ` +
          `got no end of ${String(pattern).slice(0, 200)}\nThe pattern takes ever longer on some texts: repeat no group that repeats.`,
      );
    } finally {
      context.text = "";
    }
  };
}
