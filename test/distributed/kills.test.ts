// A run of two ranks under `neobert launch`, struck 20 times at random moments: a random rank killed (SIGKILL) or stopped
// (SIGSTOP), or all told to end (SIGTERM, after which the same command goes on, as a scheduler would have it). Oracle: the
// bytes of the run that nobody disturbed. NEOBERT_KILLS=60 strikes more often.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { latestCheckpoint } from "../../packages/neobert/src/files/run-folder.js";
import { writePreparedFolder, writeSmallRun } from "../../packages/neobert/src/train/fixture-train.js";
import { childrenOf, neobert } from "./fixture.js";

const kills = Number(process.env.NEOBERT_KILLS ?? 20);

let root: string;
beforeAll(async () => {
  root = await writePreparedFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const runOf = (name: string, sharding: string) =>
  writeSmallRun(root, name, `sharding=${sharding}`, "steps=600", "checkpoint.everySteps=10", "evaluate.everySteps=100");

function launch(file: string) {
  const options = ["--processes", "2", "--max-restarts", `${kills}`, "--silence", "4", "--grace", "2"];
  return neobert(["launch", ...options, "--", "pretrain", file, "--resume"]);
}

const kinds = ["SIGKILL", "SIGSTOP", "SIGTERM"] as const;
const draw = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)];

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it has ended in the meantime
  }
}

const fileOf = (out: string, name: string) => readFileSync(join(latestCheckpoint(out)!, name));

test.each(["none", "gradients"])(
  `with sharding %s a run of two ranks that is struck ${kills} times ends with the bytes of the undisturbed run`,
  async (sharding) => {
    const whole = runOf(`whole-${sharding}`, sharding);
    const undisturbed = launch(whole.file);
    expect(await undisturbed.ended, undisturbed.output()).toBe(0);
    const broken = runOf(`broken-${sharding}`, sharding);
    const expectSameBytes = () => {
      for (const name of ["model.safetensors", "training/optimizer.safetensors"]) {
        expect(fileOf(broken.out, name).equals(fileOf(whole.out, name)), name).toBe(true);
      }
    };
    const struck = { SIGKILL: 0, SIGSTOP: 0, SIGTERM: 0 };
    const total = () => struck.SIGKILL + struck.SIGSTOP + struck.SIGTERM;
    let ends = 0;
    while (total() < kills || ends === 0) {
      const running = launch(broken.file);
      let status: number | undefined;
      let wasTold = false;
      void running.ended.then((code) => (status = code));
      while (status === undefined) {
        await Promise.race([sleep(500 + Math.random() * 3000), running.ended]);
        if (status !== undefined || total() >= kills) break;
        const signal = kinds[total() % kinds.length]!;
        wasTold ||= signal === "SIGTERM";
        const ranks = childrenOf(running.child.pid!);
        const victims = signal === "SIGTERM" ? [running.child.pid!, ...ranks] : [draw(ranks) ?? 0];
        if (victims[0] !== 0 && victims.map((pid) => send(pid, signal)).includes(true)) struck[signal]++;
      }
      const code = await running.ended;
      if (code !== 0) {
        // Told to stop: with a checkpoint, before the first one, or while a rank was stopped already.
        expect([75, 143, 76], running.output()).toContain(code);
        expect(wasTold, running.output()).toBe(true);
        continue;
      }
      ends++;
      expectSameBytes();
      if (total() < kills) rmSync(broken.out, { recursive: true }); // the rest of the strikes are for another run
    }
    console.log(
      `${struck.SIGKILL} SIGKILL, ${struck.SIGSTOP} SIGSTOP, ${struck.SIGTERM} SIGTERM; ${ends} runs to their end`,
    );
  },
);
