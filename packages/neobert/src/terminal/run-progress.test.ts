import { expect, test } from "vitest";
import { formatDuration, Progress, progressLine } from "./run-progress.js";

const state = {
  step: 1200,
  steps: 5000,
  loss: 5.1234,
  learningRate: 4e-3,
  tokensPerSecond: 33_012.4,
  seconds: { data: 0.01, forward: 0.33, backward: 0.5, optimizer: 0.16 },
};

function recorder(isTTY: boolean, columns = 200) {
  const writes: string[] = [];
  return { writes, stream: { isTTY, columns, write: (text: string) => writes.push(text) } };
}

/** What a terminal shows after the writes: carriage return and "erase to the end of the line" understood. */
function screen(writes: string[]): string[] {
  const lines = [""];
  const text = writes.join("").replaceAll("\r\u001b[K", "\r");
  for (const part of text.split(/(\r|\n)/)) {
    if (part === "\n") lines.push("");
    else if (part === "\r") lines[lines.length - 1] = "";
    else lines[lines.length - 1] += part;
  }
  return lines;
}

test("a line has step, share, loss, speed, learning rate, time left and the split of the time", () => {
  expect(progressLine({ ...state, secondsLeft: 725 }, 10)).toBe(
    "1,200/5,000 [==        ] 24% loss 5.123 33,012 tok/s lr 4.0e-3 12:05 left" +
      " | data 1% forward 33% backward 50% optimizer 16%",
  );
});

test("durations are short to read from seconds to days", () => {
  expect([0.4, 45, 60, 725, 3600, 200_000].map(formatDuration)).toEqual([
    "0s",
    "45s",
    "1:00",
    "12:05",
    "1:00:00",
    "55:33:20",
  ]);
});

test("the time left counts only the steps taken since a resume", () => {
  const { writes, stream } = recorder(false);
  let now = 0;
  const progress = new Progress({ steps: 1100, startStep: 1000, stream, now: () => now });
  now = 20_000;
  progress.update({ ...state, step: 1010 });
  expect(writes.join("")).toContain(" 3:00 left ");
});

test("on a terminal there is one line however many updates, notes stay above it, and the last state is kept", () => {
  const { writes, stream } = recorder(true);
  let now = 0;
  const progress = new Progress({ steps: 2000, stream, now: () => (now += 60) });
  for (let step = 1; step <= 100; step++) progress.update({ ...state, step });
  progress.note("step 100: held-out loss 4.2");
  for (let step = 101; step <= 1200; step++) progress.update({ ...state, step });
  progress.end();
  const lines = screen(writes);
  expect(lines).toHaveLength(3);
  expect(lines[0]).toBe("step 100: held-out loss 4.2");
  expect(lines[1]).toMatch(/^1,200\/2,000 \[=+ +\] 60% /);
  expect(lines[2]).toBe("");
});

test("a narrow terminal gets no line longer than its width", () => {
  const { writes, stream } = recorder(true, 40);
  new Progress({ steps: 2000, stream }).update({ ...state, step: 7 });
  expect(screen(writes)[0]!.length).toBeLessThan(40);
});

test("without a terminal there is a plain line every five seconds, and the last step has one", () => {
  const { writes, stream } = recorder(false);
  let now = 0;
  const progress = new Progress({ steps: 120, stream, now: () => now });
  for (let step = 1; step <= 120; step++) {
    now = step * 100;
    progress.update({ ...state, step });
  }
  progress.end();
  expect(writes.map((line) => line.split("/")[0])).toEqual(["1", "51", "101", "120"]);
  for (const control of ["\r", "\u001b"]) expect(writes.join("")).not.toContain(control);
});
