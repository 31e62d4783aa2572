// Oracle: golden/pooling, made by sentence-transformers' Pooling.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openSafetensors } from "../files/safetensors.js";
import { checkPooling, pool, poolingModes } from "./pooling.js";

const file = openSafetensors(fileURLToPath(new URL("../../../../test/golden/pooling.safetensors", import.meta.url)));
const hidden = file.read("hidden").data as Float32Array;
const cuSeqlens = file.read("cuSeqlens").data as Int32Array;
const C = 3;

test.each(poolingModes)("%s equals sentence-transformers, with and without a prompt's tokens left out", (mode) => {
  // With a prompt left out, `cls` is the text's first token in its packed form, and in its padded form (by which the file was
  // made) the first behind the prompt: here it is [CLS].
  for (const skip of mode === "cls" ? [0] : [0, 3]) {
    const expected = file.read(`${mode}.${skip}`).data as Float32Array;
    const pooled = pool(hidden, cuSeqlens, C, [mode], skip);
    expect(pooled.length).toBe(expected.length);
    // A maximum over no tokens is minus infinity there, and 0 here as the other modes have it.
    for (const [i, value] of pooled.entries())
      expect(value).toBeCloseTo(Number.isFinite(expected[i]) ? expected[i]! : 0, 5);
  }
});

test("several modes stand side by side in the order asked for", () => {
  const modes = checkPooling("test", ["lasttoken", "mean", "cls", "mean"]);
  expect(modes).toEqual(["lasttoken", "mean", "cls"]);
  const [first] = [pool(hidden, cuSeqlens, C, modes).subarray(0, 9)];
  expect([...first!.subarray(0, 3), ...first!.subarray(6)]).toEqual([
    ...hidden.subarray(9, 12),
    ...hidden.subarray(0, 3),
  ]);
  const pooled = pool(hidden, cuSeqlens, C, modes);
  expect(pooled.length).toBe(3 * 3 * C);
  const second = [...pooled.subarray(9, 18)];
  // A text of one token is that token in all three.
  expect(second).toEqual([...hidden.subarray(12, 15), ...hidden.subarray(12, 15), ...hidden.subarray(12, 15)]);
});

test("a mode that does not exist is refused, naming those that do", () => {
  expect(() => checkPooling("encode", "average" as "mean")).toThrow(
    /encode: expected pooling modes among cls, max, mean, .*, got "average"/,
  );
  expect(() => checkPooling("encode", [])).toThrow("got []");
});
