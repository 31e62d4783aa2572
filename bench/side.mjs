// One side of a benchmark: a process that stays, is handed tasks as lines of JSON, and answers each with such a line.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * Starts `program script OPTIONS` (one word of JSON, or the words themselves), after the words of `within`, with `env` beside the environment; `ask` sends a task and resolves with its
 * answer, `next` with the next line, `end` when it is gone.
 */
export function startSide(program, script, options, { env = {}, within = [] } = {}) {
  const words = Array.isArray(options) ? options : [JSON.stringify(options)];
  const command = [...within, program, script, ...words];
  const child = spawn(command[0], command.slice(1), {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let log = "";
  child.stderr.on("data", (text) => (log = (log + text).slice(-2000)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${script}: ended\n${log}`);
    return value.startsWith("{") ? JSON.parse(value) : next();
  };
  const ask = (task) => {
    child.stdin.write(`${JSON.stringify(task)}\n`);
    return next();
  };
  const end = () => {
    child.stdin.end();
    return new Promise((resolve) => child.on("exit", resolve));
  };
  return { next, ask, end };
}
