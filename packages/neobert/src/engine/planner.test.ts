// Properties of the planner over made-up queues: time is simulated, and a run takes some milliseconds of it.

import fc from "fast-check";
import { expect, test } from "vitest";
import { cutByTokens, cutPadded, longestFirst, PATIENCE_MS, planRun, type WaitingTexts } from "./planner.js";

interface Arrival {
  lengths: number[];
  settings: string;
  /** Milliseconds from its coming to its deadline. */
  patienceMs: number;
  /** Runs after which it comes. */
  at: number;
}

const arrival = fc.record<Arrival>({
  lengths: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 25 }),
  settings: fc.constantFrom("a", "b", "c"),
  // Never so near that it is missed: this test is about what is computed.
  patienceMs: fc.constantFrom(Number.POSITIVE_INFINITY, 1e6, 2e6),
  at: fc.integer({ min: 0, max: 30 }),
});

class SimulatedCall implements WaitingTexts {
  readonly lengths: readonly number[];
  readonly settings: string;
  readonly deadlineMs: number;
  servedMs: number;
  next = 0;
  /** Runs that it has seen since it was last served. */
  passedOver = 0;

  constructor({ lengths, settings, patienceMs }: Arrival, nowMs: number) {
    this.lengths = lengths;
    this.settings = settings;
    this.deadlineMs = nowMs + patienceMs;
    this.servedMs = nowMs;
  }

  get length() {
    return this.lengths.length - this.next;
  }

  tokenCount(place: number) {
    return this.lengths[this.next + place]!;
  }
}

interface SimulatedRun {
  parts: { call: SimulatedCall; from: number; to: number }[];
  tokens: number;
  texts: number;
}

/** Runs everything; `seen` gets each run, and the calls that waited when it was planned. */
function simulate(
  arrivals: readonly Arrival[],
  maxTokens: number,
  runMs: number,
  seen: (run: SimulatedRun, waiting: readonly SimulatedCall[]) => void,
): SimulatedCall[] {
  const calls: SimulatedCall[] = [];
  const coming = [...arrivals].sort((a, b) => a.at - b.at);
  for (let [run, nowMs] = [0, 0]; coming.length > 0 || calls.some(({ length }) => length > 0); run++, nowMs += runMs) {
    while (coming.length > 0 && coming[0]!.at <= run) calls.push(new SimulatedCall(coming.shift()!, nowMs));
    const waiting = calls.filter(({ length }) => length > 0);
    const parts = planRun(waiting, maxTokens).map(({ call, texts }) => {
      const own = waiting[call]!;
      return { call: own, from: own.next, to: own.next + texts };
    });
    for (const call of waiting) call.passedOver++;
    let [tokens, texts] = [0, 0];
    for (const { call, from, to } of parts) {
      texts += to - from;
      for (const length of call.lengths.slice(from, to)) tokens += length;
      call.next = to;
      call.servedMs = nowMs;
    }
    if (waiting.length > 0) expect(texts).toBeGreaterThan(0);
    seen({ parts, tokens, texts }, waiting);
    for (const { call } of parts) call.passedOver = 0;
  }
  return calls;
}

test("every text is run once, in its call's order, in a run of its own settings that holds the budget", () => {
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 12 }), fc.integer({ min: 1, max: 150 }), (arrivals, maxTokens) => {
      const ran = new Map<SimulatedCall, number[]>();
      const calls = simulate(arrivals, maxTokens, 5, ({ parts, tokens, texts }) => {
        expect(tokens <= maxTokens || texts === 1).toBe(true);
        expect(new Set(parts.map(({ call }) => call.settings)).size).toBeLessThanOrEqual(1);
        for (const { call, from, to } of parts) {
          const places = Array.from({ length: to - from }, (_, i) => from + i);
          ran.set(call, [...(ran.get(call) ?? []), ...places]);
        }
      });
      expect(calls).toHaveLength(arrivals.length);
      for (const call of calls) expect(ran.get(call)).toEqual([...call.lengths.keys()]);
    }),
  );
});

test("no call is passed over for longer than its patience and a run for each call that waits", () => {
  const settings = { runMs: fc.integer({ min: 5, max: 100 }), maxTokens: fc.integer({ min: 1, max: 150 }) };
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 25 }), fc.record(settings), (arrivals, { runMs, maxTokens }) => {
      simulate(arrivals, maxTokens, runMs, (_, waiting) => {
        for (const { passedOver } of waiting) {
          expect(passedOver).toBeLessThanOrEqual(Math.ceil(PATIENCE_MS / runMs) + arrivals.length + 1);
        }
      });
    }),
  );
});

const of = (lengths: number[], rest: Partial<WaitingTexts> = {}): WaitingTexts => {
  const whole = { settings: "", deadlineMs: Number.POSITIVE_INFINITY, servedMs: 0, ...rest };
  return { ...whole, length: lengths.length, tokenCount: (place) => lengths[place]! };
};

test("a call of one text is in the first run, however long the call beside it is", () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 3000 }), fc.integer({ min: 1, max: 20 }), (texts, length) => {
      const long = of(Array(texts).fill(20));
      const run = planRun([long, of([length], { servedMs: 1 })], 60);
      expect(run.find(({ call }) => call === 1)).toEqual({ call: 1, texts: 1 });
      expect(run.find(({ call }) => call === 0)!.texts).toBe(length === 20 ? 2 : Math.floor((60 - length) / 20));
    }),
  );
});

test("the nearest deadline is served first where not all have room, and what has waited long before it", () => {
  const near = of([50], { deadlineMs: 900, servedMs: 800 });
  expect(planRun([of([50], { servedMs: 790 }), near], 60)).toEqual([{ call: 1, texts: 1 }]);
  expect(planRun([of([50], { servedMs: 900 - PATIENCE_MS - 1 }), near], 60)).toEqual([{ call: 0, texts: 1 }]);
});

test("one call alone is cut as its texts are, longest first", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 })), fc.integer({ min: 1, max: 150 }), (lengths, maxTokens) => {
      const order = longestFirst({ length: lengths.length, tokenCount: (text) => lengths[text]! });
      const sorted = order.map((text) => lengths[text]!);
      expect(sorted).toEqual(lengths.toSorted((a, b) => b - a));
      const runs: number[] = [];
      const call = { lengths: sorted, settings: "", patienceMs: Number.POSITIVE_INFINITY, at: 0 };
      if (lengths.length > 0) simulate([call], maxTokens, 1, ({ texts }) => runs.push(texts));
      expect(runs).toEqual([...cutByTokens(sorted, (length) => length, maxTokens)].map(({ length }) => length));
    }),
  );
});

test("a cut keeps the order, holds the budget, and no run could have taken the next text", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 60 }));
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 150 }), (lengths, maxTokens) => {
      const runs = [...cutByTokens(lengths, (length) => length, maxTokens)];
      const sum = (run: number[]) => run.reduce((a, b) => a + b, 0);
      expect(runs.flat()).toEqual(lengths);
      for (const [i, run] of runs.entries()) {
        expect(sum(run) <= maxTokens || run.length === 1).toBe(true);
        if (i + 1 < runs.length) expect(sum(run) + runs[i + 1]![0]!).toBeGreaterThan(maxTokens);
      }
    }),
  );
});

test("a padded cut holds the budget with its padding, and the share that may be padding", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 })), fc.integer({ min: 1, max: 500 }), (lengths, maxTokens) => {
      const sorted = lengths.toSorted((a, b) => a - b);
      const runs = [...cutPadded(sorted, (length) => length, { maxTokens, maxPadding: 1 / 8 })];
      expect(runs.flat()).toEqual(sorted);
      for (const run of runs.filter(({ length }) => length > 1)) {
        const padded = run.length * run.at(-1)!;
        const padding = run.reduce((sum, length) => sum + run.at(-1)! - length, 0);
        expect(padded).toBeLessThanOrEqual(maxTokens);
        expect(padding).toBeLessThanOrEqual(padded / 8);
      }
    }),
  );
});
