// The bound of a run's tokens, from runs whose times follow a law that the test states.
import { describe, expect, test } from "vitest";
import { RunBound } from "./run-bound.js";

function boundAfter(sizes: number[], ms: (tokens: number) => number, maxRunMs?: number): number {
  const bound = new RunBound(maxRunMs);
  for (const tokens of sizes) bound.learn(tokens, ms(tokens));
  return bound.mostTokens;
}
const mixed = [12, 300, 25, 600, 18, 200];

describe("RunBound", () => {
  test("before the first run nothing is bounded", () => {
    expect(new RunBound().mostTokens).toBe(Number.POSITIVE_INFINITY);
    expect(new RunBound(5).mostTokens).toBe(Number.POSITIVE_INFINITY);
  });

  test("a run of a cheap start has the tokens of 25 ms", () => {
    // 1 ms and 0.1 a token: 240 tokens take 25 ms.
    const bound = boundAfter(mixed, (tokens) => 1 + 0.1 * tokens);
    expect(Math.abs(bound - 240)).toBeLessThanOrEqual(1);
  });

  test("where the start is dear, a run loses less than a tenth to it, and is no longer than that asks", () => {
    const [fixed, perToken] = [6, 0.1];
    const bound = boundAfter(mixed, (tokens) => fixed + perToken * tokens);
    const lost = fixed / (fixed + perToken * bound);
    expect(lost).toBeLessThan(0.1);
    expect(lost).toBeGreaterThan(0.05);
  });

  test("a maxRunMs that is given holds, however dear the start", () => {
    const bound = boundAfter(mixed, (tokens) => 6 + 0.1 * tokens, 30);
    expect(Math.abs(bound - 240)).toBeLessThanOrEqual(1);
    expect(boundAfter(mixed, (tokens) => 6 + 0.1 * tokens, 1)).toBe(128); // fewer are not worth a run
  });

  test("single texts without end do not shorten the runs", () => {
    const law = (tokens: number) => 3 + 0.1 * tokens;
    const before = boundAfter(mixed, law);
    const after = boundAfter([...mixed, ...Array.from({ length: 500 }, (_, i) => 8 + (i % 20))], law);
    expect(Math.abs(after - before)).toBeLessThan(0.05 * before);
  });

  test("times that swing by half leave the bound near the law's", () => {
    let seed = 1;
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
    const sizes = Array.from({ length: 200 }, (_, i) => mixed[i % 6]!);
    const bound = boundAfter(sizes, (tokens) => (1 + 0.1 * tokens) * (0.75 + 0.5 * random()));
    expect(bound).toBeGreaterThan(180);
    expect(bound).toBeLessThan(320);
  });

  test("runs without tokens change nothing", () => {
    const law = (tokens: number) => 1 + 0.1 * tokens;
    expect(boundAfter([0, ...mixed, 0], law)).toBe(boundAfter(mixed, law));
  });

  test("an engine that became slower has shorter runs soon", () => {
    const bound = new RunBound();
    for (let i = 0; i < 100; i++) bound.learn(mixed[i % 6]!, 1 + 0.05 * mixed[i % 6]!);
    for (let i = 0; i < 100; i++) bound.learn(mixed[i % 6]!, 1 + 0.15 * mixed[i % 6]!);
    expect(Math.abs(bound.mostTokens - 160)).toBeLessThanOrEqual(5);
  });

  test("short runs, however slow, say nothing of what many tokens take; the fastest rate of fair runs does", () => {
    const bound = new RunBound();
    bound.learn(3, 500);
    expect(bound.leastMsOf(100_000)).toBe(0);
    bound.learn(1000, 900);
    bound.learn(1000, 100);
    bound.learn(1000, 200);
    expect(bound.leastMsOf(10_000)).toBeCloseTo(1000 * 1.01, 6);
  });
});
