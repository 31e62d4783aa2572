// The queue with a computation that the test holds in its hands, and with a real engine in its thread.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { wordsText, writeSmallModel } from "../encoder/fixture-encoder.js";
import { DeadlineError, Encoder, QueueFullError } from "../index.js";
import type { PackedBatch } from "../model/packed-batch.js";
import type { EngineResult } from "./engine-tasks.js";
import { EngineQueue, type QueueCall } from "./queue.js";

/** Runs are planned at the end of a turn of the event loop. */
async function aTurn(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise(setImmediate);
}

/** A queue whose runs wait until `step` lets the oldest one end; its hidden states are the ids themselves. */
function heldQueue(options: ConstructorParameters<typeof EngineQueue>[2] = {}, mostTokens = 100, msPerToken = 0) {
  const runs: { batch: PackedBatch; end(): void; fail(error: Error): void }[] = [];
  const queue = new EngineQueue(
    (batch) =>
      new Promise((resolve, reject) => {
        const tokens = batch.ids.length;
        const end = () => resolve({ result: { data: Float32Array.from(batch.ids) }, ms: msPerToken * tokens });
        runs.push({ batch, end, fail: reject });
      }),
    mostTokens,
    options,
  );
  const step = async () => {
    runs.shift()!.end();
    await aTurn();
  };
  return { queue, runs, step };
}

/** A call of texts of these lengths, whose tokens all are `id`. */
function callOf(id: number, lengths: number[], more: Partial<QueueCall> = {}) {
  const taken = new Map<number, number[]>();
  const call: QueueCall = {
    where: "test",
    texts: {
      length: lengths.length,
      tokenCount: (text) => lengths[text]!,
      pack(order) {
        const borders = [0];
        for (const text of order) borders.push(borders.at(-1)! + lengths[text]!);
        return { ids: new Int32Array(borders.at(-1)!).fill(id), cuSeqlens: Int32Array.from(borders) };
      },
    },
    task: () => ({ kind: "hidden" }),
    take: (order, cuSeqlens, { data }: EngineResult) => {
      for (const [i, text] of order.entries()) taken.set(text, [...data.slice(cuSeqlens[i]!, cuSeqlens[i + 1]!)]);
    },
    describe: (text) => `text ${text}`,
    ...more,
  };
  return { call, taken };
}

describe("the queue", () => {
  test("texts of several calls share a run, and each call gets its own texts' results", async () => {
    const { queue, runs, step } = heldQueue();
    const first = callOf(1, new Array(30).fill(10));
    const second = callOf(2, [3, 4]);
    const both = [queue.submit(first.call)];
    await aTurn();
    both.push(queue.submit(second.call));
    await aTurn();
    expect(runs.length).toBe(2);
    await step();
    await step();
    // The third run is planned when both wait: the short call is in it as a whole.
    expect([...runs[0]!.batch.ids].filter((id) => id === 2).length).toBe(7);
    while (runs.length > 0) await step();
    await Promise.all(both);
    expect([...first.taken.values()].every((ids) => ids.length === 10 && ids.every((id) => id === 1))).toBe(true);
    expect([second.taken.get(0), second.taken.get(1)]).toEqual([
      [2, 2, 2],
      [2, 2, 2, 2],
    ]);
  });

  test("calls of one turn of the event loop share the first run", async () => {
    const { queue, runs, step } = heldQueue();
    const calls = [1, 2, 3, 4].map((id) => callOf(id, [5, 6]));
    const all = calls.map(({ call }) => queue.submit(call));
    await aTurn();
    expect(runs.length).toBe(1);
    expect(runs[0]!.batch.cuSeqlens.length - 1).toBe(8);
    await step();
    await Promise.all(all);
    for (const [i, { taken }] of calls.entries()) {
      expect([taken.get(0), taken.get(1)]).toEqual([new Array(5).fill(i + 1), new Array(6).fill(i + 1)]);
    }
  });

  test("where calls may come at any time, a call that waits alone has bounded runs after the first; else the largest", async () => {
    for (const [shared, largest] of [
      [true, 250],
      [false, 1500],
    ] as const) {
      const { queue, runs, step } = heldQueue({ maxRunMs: 25, shared }, 1500, 0.1);
      const answer = queue.submit(callOf(1, Array(100).fill(50)).call);
      await aTurn();
      for (let early = 0; early < 2; early++) await step(); // planned before any run had told its time
      const sizes: number[] = [];
      for (; runs.length > 0; await step()) sizes.push(runs[0]!.batch.ids.length);
      await answer;
      expect(sizes[0]).toBe(largest);
    }
  });

  test("a second bounded run is planned just before the first ends, so a call that came meanwhile is in it", async () => {
    const { queue, runs, step } = heldQueue({ maxRunMs: 250, shared: true }, 1500, 1);
    const long = queue.submit(callOf(1, Array(100).fill(50)).call);
    await aTurn();
    for (let early = 0; early < 2; early++) await step(); // planned before any run had told its time
    await step();
    expect(runs).toHaveLength(1);
    const short = queue.submit(callOf(2, [3]).call);
    await vi.waitFor(() => expect(runs).toHaveLength(2), 2000);
    expect([...runs[1]!.batch.ids]).toContain(2);
    for (let left = 100; runs.length > 0 && left > 0; left--) await step();
    await Promise.all([long, short]);
  });

  test("a call that is aborted in the turn in which it came is never computed", async () => {
    const { queue, runs } = heldQueue();
    const stop = new AbortController();
    const one = queue.submit(callOf(1, [5], { signal: stop.signal }).call);
    stop.abort(new Error("no longer wanted"));
    await expect(one).rejects.toThrow("no longer wanted");
    await aTurn();
    expect(runs.length).toBe(0);
    expect(queue.waitingTokens).toBe(0);
  });

  test("an aborted call rejects at once and its waiting texts are never computed", async () => {
    const { queue, runs, step } = heldQueue();
    const stop = new AbortController();
    const long = queue.submit(callOf(1, new Array(50).fill(10), { signal: stop.signal }).call);
    const other = callOf(2, [5]);
    await aTurn();
    const short = queue.submit(other.call);
    stop.abort(new Error("no longer wanted"));
    await expect(long).rejects.toThrow("no longer wanted");
    expect(queue.waitingTokens).toBe(5);
    let computed = 0;
    while (runs.length > 0) {
      computed += runs[0]!.batch.ids.filter((id) => id === 1).length;
      await step();
    }
    await short;
    expect(computed).toBe(200); // the two runs that were on their way
    expect(other.taken.size).toBe(1);
  });

  test("beyond maxWaitingTokens a call waits for its place, or is refused where it would not wait", async () => {
    const { queue, runs, step } = heldQueue({ maxWaitingTokens: 100 });
    const first = queue.submit(callOf(1, new Array(30).fill(10)).call); // more than fits, but alone
    await aTurn();
    const refused = queue.submit(callOf(2, [10], { wait: false }).call);
    await expect(refused).rejects.toBeInstanceOf(QueueFullError);
    const stop = new AbortController();
    const leaving = queue.submit(callOf(3, [10], { signal: stop.signal }).call);
    const patient = callOf(4, [10]);
    const waiting = queue.submit(patient.call);
    stop.abort();
    await expect(leaving).rejects.toThrow();
    while (runs.length > 0) await step();
    await Promise.all([first, waiting]);
    expect(patient.taken.size).toBe(1);
  });

  test("a call that is refused for its place is told how long those before it take to leave one", async () => {
    const { queue, runs, step } = heldQueue({ maxWaitingTokens: 500 }, 200, 1);
    const first = queue.submit(callOf(1, [200]).call);
    await aTurn();
    await step();
    await first;
    const long = queue.submit(callOf(2, Array(6).fill(100)).call);
    const refusal = await queue.submit(callOf(3, [50], { wait: false }).call).catch((error) => error);
    expect(refusal).toBeInstanceOf(QueueFullError);
    expect(refusal.retryMs).toBeCloseTo(150); // a token takes 1 ms: 600 + 50 are 150 too many
    const whole = await queue.submit(callOf(4, Array(9).fill(100), { wait: false }).call).catch((error) => error);
    expect(whole.retryMs).toBeCloseTo(600); // it fits alone only
    await aTurn();
    while (runs.length > 0) await step();
    await long;
  });

  test("a call that is refused need not wait longer than those before it, which give up at their deadlines", async () => {
    const { queue, runs, step } = heldQueue({}, 200, 1);
    const first = queue.submit(callOf(1, [200]).call);
    await aTurn();
    await step();
    await first;
    const long = queue.submit(callOf(2, Array(12).fill(100), { timeoutMs: 50 }).call);
    const late = callOf(3, Array(5).fill(100), { wait: false, timeoutMs: 500 });
    const refusal = await queue.submit(late.call).catch((error) => error);
    expect(refusal).toBeInstanceOf(DeadlineError);
    expect(refusal.retryMs).toBeGreaterThan(0); // 1,000 tokens take 500 ms too long
    expect(refusal.retryMs).toBeLessThanOrEqual(50);
    await expect(long).rejects.toBeInstanceOf(DeadlineError);
    while (runs.length > 0) await step();
  });

  test("a call past its deadline rejects, and none of its texts is computed afterwards", async () => {
    const { queue, runs, step } = heldQueue();
    const before = queue.submit(callOf(1, new Array(20).fill(10)).call);
    await aTurn();
    const late = queue.submit(callOf(2, [10], { timeoutMs: 20 }).call);
    await expect(late).rejects.toBeInstanceOf(DeadlineError);
    while (runs.length > 0) {
      expect(runs[0]!.batch.ids).not.toContain(2);
      await step();
    }
    await before;
  });

  test("a call that would not wait is refused at once where those before it leave no hope of its deadline", async () => {
    const { queue, runs, step } = heldQueue({}, 200, 1);
    const first = queue.submit(callOf(1, [200]).call);
    await aTurn();
    await step();
    await first;
    // A token takes 1 ms: 800 of 1,200 still wait beside a call of 500, which is to have half of the time.
    const long = queue.submit(callOf(2, Array(12).fill(100)).call);
    await aTurn();
    const late = callOf(3, Array(5).fill(100), { wait: false, timeoutMs: 900 });
    const refusal = await queue.submit(late.call).catch((error) => error);
    expect(refusal).toBeInstanceOf(DeadlineError);
    expect(refusal.retryMs).toBeCloseTo(1000 - 900);
    const answers = [
      queue.submit(callOf(4, Array(5).fill(100), { wait: false, timeoutMs: 60_000 }).call),
      queue.submit(callOf(5, [100], { wait: false, timeoutMs: 900 }).call),
    ];
    for (let left = 40; left > 0; left--) {
      await aTurn();
      if (runs.length > 0) await step();
      else await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Promise.all([long, ...answers]);
    expect(late.taken.size).toBe(0);
  });

  test("a call that finds none waiting is tried, however slow the runs before it were", async () => {
    const { queue, step } = heldQueue({ shared: true }, 250, 1000);
    const first = queue.submit(callOf(1, [200]).call);
    await aTurn();
    await step();
    await first;
    const { call, taken } = callOf(2, [200], { wait: false, timeoutMs: 5000 });
    const answer = queue.submit(call);
    await aTurn();
    await step();
    await answer;
    expect(taken.size).toBe(1);
  });

  test("of more calls than can be done in time as many are, one after another; the others are refused at once", async () => {
    const { queue, runs, step } = heldQueue({ shared: true, maxRunMs: 25 }, 250, 1);
    const first = queue.submit(callOf(1, [200]).call);
    await aTurn();
    await step();
    await first;
    // A token takes 1 ms: 3,000 in all may wait for 2.4 s, so twelve calls of 200 are let in, thirteen are not.
    const outcomes = Array.from({ length: 20 }, (_, i) => {
      const { call, taken } = callOf(10 + i, [100, 100], { wait: false, timeoutMs: 3000 });
      return {
        taken,
        answer: queue.submit(call).then(
          () => "done",
          (error: Error) => error.name,
        ),
      };
    });
    const order: number[] = [];
    for (let left = 100; left > 0 && order.length < 24; left--) {
      await vi.waitFor(() => expect(runs.length).toBeGreaterThan(0), 1000).catch(() => undefined);
      if (runs.length === 0) break;
      order.push(...new Set(runs[0]!.batch.ids));
      await step();
    }
    const results = await Promise.all(outcomes.map(({ answer }) => answer));
    expect(results).toEqual([...Array(12).fill("done"), ...Array(8).fill("DeadlineError")]);
    expect(order.slice(0, 10)).toEqual([10, 10, 11, 11, 12, 12, 13, 13, 14, 14]); // later there is time enough to share
  });

  test("a run that fails is halved: the text that fails is named, other calls have their results", async () => {
    const { queue, runs } = heldQueue();
    const held = queue.submit(callOf(0, [100, 100]).call);
    await aTurn();
    const good = callOf(1, [2, 2]);
    const bad = queue.submit(callOf(9, [3, 3]).call);
    const fine = queue.submit(good.call);
    const refusal = expect(bad).rejects.toThrow("test: text 0: no nines");
    while (runs.length > 0) {
      const { batch, end, fail } = runs.shift()!;
      if (batch.ids.includes(9)) fail(new Error("no nines"));
      else end();
      await aTurn();
    }
    await Promise.all([held, fine, refusal]);
    expect(good.taken.size).toBe(2);
  });

  test("an error that the caller's onProgress throws rejects this call only", async () => {
    const { queue, runs, step } = heldQueue();
    const onProgress = () => {
      throw new Error("mine");
    };
    const one = expect(queue.submit(callOf(1, [5], { onProgress }).call)).rejects.toThrow("mine");
    const other = queue.submit(callOf(2, [5]).call);
    await aTurn();
    while (runs.length > 0) await step();
    await Promise.all([one, other]);
  });
});

describe("the engine's thread", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await writeSmallModel();
  });
  const texts = Array.from({ length: 300 }, (_, i) => wordsText(5 + (i % 20), i));

  test.each(["onnx", "torch"] as const)(
    "on %s dispose ends when all that was asked for before is done",
    async (engine) => {
      const encoder = await Encoder.load(folder, { engine, batchTokens: 40 });
      const vectors = encoder.encode(texts);
      const [first, second] = [encoder.dispose(), encoder.dispose()];
      expect((await vectors).length).toBe(300);
      await Promise.all([first, second]);
      await expect(encoder.encode("the house")).rejects.toThrow("disposed of");
    },
  );

  describe.each(["onnx", "torch"] as const)("on %s", (engine) => {
    test("a worker that dies fails the call that it held, with the reason; a new one answers the calls that waited", async () => {
      const post = vi.spyOn(Worker.prototype, "postMessage");
      // So few tokens may wait that the second call is in no run before the first is over.
      await using encoder = await Encoder.load(folder, { engine, batchTokens: 40, maxWaitingTokens: 1 });
      const alone = await encoder.encode("a free people");
      const worker = post.mock.contexts.at(-1) as Worker;
      post.mockRestore();
      const death = new Promise((resolve) => worker.once("exit", resolve));
      let done = 0;
      const held = encoder.encode(texts, {
        onProgress: (progress) => {
          if (done === 0) worker.postMessage(null); // no request: the worker fails on it between two runs
          done = progress.done;
        },
      });
      const waited = encoder.encode("a free people");
      await expect(held).rejects.toThrow(/encode: .*null/);
      expect(done).toBeGreaterThan(0);
      expect(done).toBeLessThan(300);
      await death;
      expect(await waited).toEqual(alone);
      expect(await encoder.encode("a free people")).toEqual(alone);
    });

    test("a hundred calls at once, some of which are aborted, each end with their own vectors or their own reason", async () => {
      await using encoder = await Encoder.load(folder, { engine, batchTokens: 64 });
      const expected = [...(await encoder.encode(texts))];
      const calls = Array.from({ length: 100 }, async (_, i) => {
        const stop = new AbortController();
        const own = texts.slice(i, i + 1 + (i % 5));
        const vectors = encoder.encode(own, { signal: stop.signal });
        if (i % 7 === 3) {
          setTimeout(() => stop.abort(new Error(`call ${i}`)), i % 3);
          const end = await vectors.catch((error: Error) => error);
          if (end instanceof Error) return expect(end.message).toBe(`call ${i}`);
        }
        for (const [k, vector] of [...(await vectors)].entries()) {
          for (const [c, value] of vector.entries()) expect(value).toBeCloseTo(expected[i + k]![c]!, 4);
        }
      });
      await Promise.all(calls);
    });
  });

  test("a single text beside a long call is answered before it, with the vector it has alone", async () => {
    await using encoder = await Encoder.load(folder, { batchTokens: 64 });
    const alone = await encoder.encode("a free people");
    let done = 0;
    const long = encoder.encode(texts, { onProgress: (progress) => (done = progress.done) });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const beside = await encoder.encode("a free people");
    expect(done).toBeLessThan(300);
    await long;
    for (const [i, value] of alone.entries()) expect(beside[i]).toBeCloseTo(value, 5);
  });

  test.each([
    ["during a run", "process.exit(7)", 7],
    ["while loading", "process.exit(7)", 7],
    ["during a run", "null.uncaught", 1],
  ])("%s the process ends by %s with its own status", (when, ending, own) => {
    const entry = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
    const program = `
      const { Encoder } = await import(${JSON.stringify(entry)});
      const loading = Encoder.load(${JSON.stringify(folder)});
      if (${when === "while loading"}) { setTimeout(() => { ${ending}; }, Number(process.argv[1])); await loading; }
      const encoder = await loading;
      setTimeout(() => { ${ending}; }, Number(process.argv[1]));
      for (;;) await encoder.encode(${JSON.stringify(texts)});
    `;
    const statuses = [1, 15, 40].map((ms) => {
      const { status, signal } = spawnSync(process.execPath, ["--input-type=module", "-e", program, `${ms}`]);
      return signal ?? status;
    });
    expect(statuses).toEqual([own, own, own]);
  });
});
