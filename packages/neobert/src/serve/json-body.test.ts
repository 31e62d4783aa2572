import { expect, test } from "vitest";
import { readJson } from "./json-body.js";

test("of large bodies that come together one is parsed in a turn of the event loop", async () => {
  const body = JSON.stringify({ text: "a".repeat(2 ** 19) });
  const headers = { "content-type": "application/json" };
  let turn = 0;
  let isOver = false;
  const count = () => {
    turn++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const read = async () => {
    await readJson(new Request("http://a", { method: "POST", headers, body }), 2 ** 24, () => {});
    return turn;
  };
  const turns = await Promise.all(Array.from({ length: 5 }, read));
  isOver = true;
  expect(new Set(turns).size).toBe(5);
});
