// Oracles: YAML written out here with the lines counted by hand, and the values of the paper's section 3.2.

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { architectureOf, modelTypes } from "../../model/index.js";
import { loadContrastiveConfig, parseContrastiveConfig } from "../contrastive/contrastive-config.js";
import { learningRate } from "../loop/schedule.js";
import { loadRunConfig, parseRunConfig, pretrainSchema } from "../pretrain/pretrain-config.js";
import { configReference, formatRunConfig } from "./run-file.js";

const minimal = "out: out/run\nmodel: {}\ndata: shards\nsteps: 500\n";
const parse = (text: string, ...overrides: string[]) => parseRunConfig(text, { file: "RUN.yaml", overrides });

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("expected an error, got none");
}

describe("a valid run", () => {
  test("four options are enough, the others are the paper's", () => {
    const run = parse(minimal);
    expect(run.optimizer).toEqual({ name: "adamw", lr: 6e-4, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 });
    expect(run.masking).toEqual({ rate: 0.2, maskShare: 1, randomShare: 0, keepShare: 0 });
    expect([run.maxLength, run.tokensPerStep, run.clipNorm]).toEqual([1024, 2 ** 21, 1]);
    expect(run.threads).toBe(availableParallelism());
    expect(run.data).toEqual({ train: [{ path: "shards", weight: 1 }], longDocuments: "cut" });
  });

  test("SOAP has options of its own, and no others of the authors' code", () => {
    const { optimizer } = parse(minimal, "optimizer={ name: soap, maxPrecondDim: 2048 }");
    expect(optimizer).toMatchObject({ name: "soap", preconditionFrequency: 10, maxPrecondDim: 2048 });
    for (const option of ["mergeDims: true", "precondition1d: true", "normalizeGrads: true", "shampooBeta: 0.9"]) {
      expect(messageOf(() => parse(minimal, `optimizer={ name: soap, ${option} }`))).toContain(
        `optimizer: expected a known key, got "${option.split(":")[0]}"`,
      );
    }
  });

  test("the decay ends at the last step unless it is told to end elsewhere", () => {
    expect(parse(`${minimal}schedule: { warmupSteps: 10 }`).schedule).toMatchObject({
      decaySteps: 500,
      finalRatio: 0.1,
    });
    expect(parse(`${minimal}schedule: { warmupSteps: 10, decaySteps: 400 }`).schedule.decaySteps).toBe(400);
  });

  test("a step smaller than a micro-batch is one micro-batch", () => {
    expect(parse(minimal, "tokensPerStep=8192").microBatchTokens).toBe(8192);
  });

  test("a data folder stands for its subfolders train and validation where they exist", () => {
    const folder = mkdtempSync(join(tmpdir(), "neobert-config-"));
    try {
      expect(parse(minimal, `data=${folder}`).data.train).toEqual([{ path: folder, weight: 1 }]);
      mkdirSync(join(folder, "train"));
      expect(parse(minimal, `data=${folder}`).data).toEqual({
        train: [{ path: join(folder, "train"), weight: 1 }],
        longDocuments: "cut",
      });
      mkdirSync(join(folder, "validation"));
      expect(parse(minimal, `data=${folder}`).data.validation).toBe(join(folder, "validation"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("the resolved run, written out, parses back to itself", () => {
    const text = `${minimal}tokenizer: tok\nschedule: { name: wsd, stableSteps: 3, warmupSteps: 1 }\ndtype: bf16\n`;
    for (const run of [parse(minimal), parse(text), parse(minimal, "schedule={ name: constant }")]) {
      expect(parseRunConfig(formatRunConfig(run), { file: "saved" })).toEqual(run);
    }
  });
});

describe("overrides", () => {
  test("are read as YAML: numbers in any notation, lists, mappings, text with an equals sign", () => {
    const run = parse(
      minimal,
      "optimizer.lr=1e-4",
      "optimizer.betas=[0.9, 0.98]",
      "model.num_hidden_layers=2",
      "model.rope=false",
      "data={ train: [{ path: a, weight: 2 }, { path: b }] }",
      "out=out/a=b",
      "steps=1e3",
    );
    expect(run.optimizer).toMatchObject({ lr: 1e-4, betas: [0.9, 0.98], eps: 1e-8 });
    expect(run.model).toEqual({ num_hidden_layers: 2, rope: false });
    expect(run.data.train).toEqual([
      { path: "a", weight: 2 },
      { path: "b", weight: 1 },
    ]);
    expect([run.out, run.steps]).toEqual(["out/a=b", 1000]);
  });

  test("the last of two overrides of one option holds", () => {
    expect(parse(minimal, "seed=1", "seed=2").seed).toBe(2);
  });

  test("a wrong value names the override, not a line of the file", () => {
    expect(messageOf(() => parse(minimal, "steps=many"))).toBe(
      'override steps=many: steps: expected a number, got "many"\nsteps: Optimizer steps of the whole run.',
    );
  });

  test("an unknown key names the override and the nearest key, at any depth", () => {
    expect(messageOf(() => parse(minimal, "optimizer.lrr=1"))).toBe(
      'override optimizer.lrr=1: optimizer: expected a known key, got "lrr"\n' +
        'Did you mean "lr"? Keys there: name, lr, betas, eps, weightDecay, preconditionFrequency, maxPrecondDim',
    );
    expect(messageOf(() => parse(minimal, "optimiser.lr=1"))).toMatch(
      /^override optimiser.lr=1: expected a known key, got "optimiser"\nDid you mean "optimizer"\?/,
    );
  });

  test("a text without a key, a key below a single value and broken YAML are refused with the way out", () => {
    expect(messageOf(() => parse(minimal, "steps"))).toMatch(/^override steps: expected key=value.*\nWrite/);
    expect(messageOf(() => parse(minimal, "data.train=x"))).toMatch(/\nOverride all of it, data=\{ train: /);
    expect(messageOf(() => parse(minimal, "optimizer.betas=[0.9"))).toMatch(
      /^override optimizer.betas=\[0.9: expected YAML/,
    );
  });
});

describe("a file that extends another", () => {
  const folder = mkdtempSync(join(tmpdir(), "neobert-extends-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  file("base.yaml", `${minimal}optimizer: { lr: 1e-4, weightDecay: 0 }\nmasking:\n  rate: 0.15\n`);
  file("more/middle.yaml", "extends: ../base.yaml\nout: out/middle\noptimizer: { name: adam }\n");

  test("joins mappings, replaces everything else, and overrides come last", () => {
    const last = file(
      "last.yaml",
      "extends: more/middle.yaml\nsteps: 7\ndata: { train: [{ path: a }, { path: b }] }\n",
    );
    const run = loadRunConfig(last, ["optimizer.lr=3e-4"]);
    expect(run.optimizer).toEqual({ name: "adam", lr: 3e-4, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0 });
    expect([run.out, run.steps, run.masking.rate]).toEqual(["out/middle", 7, 0.15]);
    expect(run.data.train.map(({ path }) => path)).toEqual(["a", "b"]);
  });

  test("an absolute path is itself", () => {
    const base = file("elsewhere/base.yaml", `${minimal}seed: 7\n`);
    expect(loadRunConfig(file("more/of-absolute.yaml", `extends: ${base}\n`)).seed).toBe(7);
  });

  test("a mistake names the file of the chain that made it, with its line", () => {
    const last = file("wrong.yaml", "extends: more/middle.yaml\n\noptimizer:\n  lrr: 1\nmasking: { rate: 2 }\n");
    const message = messageOf(() => loadRunConfig(last));
    expect(message).toContain(`${last}:4: optimizer: expected a known key, got "lrr"\nDid you mean "lr"?`);
    expect(message).toContain(`${last}:5: masking.rate: expected at most 1, got 2`);
    const base = file("bad.yaml", `${minimal}seed: x\n`);
    expect(messageOf(() => loadRunConfig(file("of-bad.yaml", "extends: bad.yaml\n")))).toMatch(`${base}:5: seed:`);
  });

  test("a base that is missing, is no text or extends the file itself is refused", () => {
    expect(messageOf(() => loadRunConfig(file("a.yaml", "extends: none.yaml\n")))).toMatch(/none.yaml: expected a run/);
    expect(messageOf(() => loadRunConfig(file("b.yaml", "extends: 3\n")))).toMatch(
      /extends: expected a run file, got 3/,
    );
    file("d.yaml", "extends: c.yaml\n");
    expect(messageOf(() => loadRunConfig(file("c.yaml", "extends: d.yaml\n")))).toMatch(
      /does not extend this one, got c/,
    );
  });
});

describe("a mistake in the file", () => {
  test("every mistake is reported at once, each with its own line", () => {
    const text = ["out: 3", "modle: {}", "data: shards", "optimizer:", "  lrr: 3", "  betas: [1]", "  name: sgd"];
    const message = messageOf(() => parse(text.join("\n")));
    for (const line of [
      "RUN.yaml:1: out: expected a text, got 3",
      'RUN.yaml:2: expected a known key, got "modle"',
      'RUN.yaml:5: optimizer: expected a known key, got "lrr"',
      "RUN.yaml:6: optimizer.betas: expected a list of at least 2, got the list [1]",
      'RUN.yaml:7: optimizer.name: expected one of adamw, adam, soap, got "sgd"',
      "RUN.yaml: model: expected a mapping, got nothing",
      "RUN.yaml: steps: expected a number, got nothing",
    ]) {
      expect(message.split("\n")).toContain(line);
    }
    expect(message).toContain('Did you mean "model"? Keys there: out, seed, model,');
  });

  test("a model field in another spelling is refused with the published name", () => {
    expect(messageOf(() => parse("out: o\nmodel:\n  hidenSize: 64\ndata: d\nsteps: 1\n"))).toMatch(
      /^RUN.yaml:3: model: expected a known key, got "hidenSize"\nDid you mean "hidden_size"\?/,
    );
  });

  test("a key unlike any other gets no guess, only the list", () => {
    expect(messageOf(() => parse(`${minimal}zzzzzz: 1\n`))).toMatch(/got "zzzzzz"\nKeys there: out,/);
  });

  test("of thousands of wrong values, or unknown keys, the first hundred are told, at once", () => {
    const before = process.cpuUsage();
    const keys = messageOf(() => parse(minimal + Array.from({ length: 3000 }, (_, i) => `key${i}: 0\n`).join("")));
    expect(keys.match(/expected a known key/g)).toHaveLength(100);
    const sets = `[${"0,".repeat(5000)}0]`;
    const yaml = `out: o\nmodel: { from: m }\ndata: { train: ${sets} }\n`;
    const items = messageOf(() => parseContrastiveConfig(yaml, { file: "RUN.yaml" }));
    expect(items.match(/expected a mapping, got 0/g)).toHaveLength(100);
    expect(items).toMatch(/\nRUN.yaml: and 4901 more$/);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(2500);
  });

  test("a size that is no number is refused as such, whatever it is", () => {
    const text = minimal.replace("model: {}", "model: { hidden_size: { toString: 1 }, num_hidden_layers: [2] }");
    expect(text).not.toBe(minimal);
    expect(messageOf(() => parse(text))).toMatch(/model\.hidden_size: expected .*, got the mapping/);
  });

  test("a number out of range says its range", () => {
    expect(messageOf(() => parse(`${minimal}masking: { rate: 1.5 }\n`))).toMatch(
      /^RUN.yaml:5: masking.rate: expected at most 1, got 1.5/,
    );
    expect(messageOf(() => parse(minimal, "steps=0"))).toContain("expected more than 0, got 0");
    expect(messageOf(() => parse(minimal, "steps=2.5"))).toContain("expected a whole number, got 2.5");
  });

  test("options that contradict each other are refused at their lines", () => {
    expect(messageOf(() => parse(`${minimal}masking: { maskShare: 0.8 }\n`))).toBe(
      "RUN.yaml:5: masking: expected maskShare + randomShare + keepShare = 1, got 0.8",
    );
    expect(messageOf(() => parse(`${minimal}schedule:\n  name: constant\n  finalRatio: 0.1\n`))).toMatch(
      /^RUN.yaml:7: schedule.finalRatio: expected only with a decay/,
    );
    expect(messageOf(() => parse(`${minimal}optimizer:\n  maxPrecondDim: 8\n`))).toBe(
      "RUN.yaml:6: optimizer.maxPrecondDim: expected only with name: soap, got it with name: adamw",
    );
    expect(messageOf(() => parse(`${minimal}schedule: { name: wsd }\n`))).toContain(
      "expected stableSteps with name: wsd",
    );
    expect(messageOf(() => parse(`${minimal}schedule: { warmupSteps: 2000, decaySteps: 100 }\n`))).toContain(
      "schedule.decaySteps: expected at least warmupSteps + stableSteps (2000), got 100",
    );
    expect(messageOf(() => parse(minimal, "microBatchTokens=512"))).toBe(
      "override microBatchTokens=512: microBatchTokens: expected at least maxLength (1024), got 512",
    );
  });

  test("broken YAML, a repeated key and an empty file are refused with file and line", () => {
    expect(messageOf(() => parse("out: a\nseed: [1\n"))).toMatch(/^RUN.yaml:\d: expected YAML/);
    expect(messageOf(() => parse(`${minimal}steps: 3\n`))).toBe(
      "RUN.yaml:5: expected YAML, got an error: Map keys must be unique",
    );
    expect(messageOf(() => parse(""))).toMatch(/^RUN.yaml: expected a mapping, got nothing/);
    expect(messageOf(() => loadRunConfig("no/such.yaml"))).toMatch(/^no\/such.yaml: expected a run file/);
    const pointer = join(mkdtempSync(join(tmpdir(), "run-")), "run.yaml");
    writeFileSync(pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 1\n");
    expect(messageOf(() => loadRunConfig(pointer))).toMatch(/run\.yaml: .*Git LFS pointer.*\n.*git lfs pull/);
  });
});

describe("the reference", () => {
  test("has one row for every option of the schema, with default and meaning", () => {
    const table = configReference(pretrainSchema);
    for (const key of Object.keys(pretrainSchema.shape)) expect(table).toContain(`| \`${key}\` |`);
    expect(table).toContain("| `optimizer.lr` | number | `0.0006` | Peak learning rate |");
    expect(table).toContain("| `data.train.0.weight` | number | `1` |");
    expect(table).toContain("| `threads` | whole number | all cores, divided |");
    expect(table).toContain("| `steps` | whole number | needed |");
    for (const row of table.split("\n")) expect(row, row).toMatch(/^\|([^|]*\|){4}$/);
    expect(table).not.toMatch(/\| {2}\|$/m);
  });
});

test("the fields of `model` are those of the published config.json files that have a default", () => {
  const published = modelTypes.flatMap((model_type) => Object.keys(architectureOf({ model_type }).config));
  const { from: _, ...fields } = pretrainSchema.shape.model.shape;
  expect(Object.keys(fields).sort()).toEqual([...new Set(published)].sort());
});

test("a field of another architecture is refused with the fields that this one has", () => {
  const message = messageOf(() => parse("out: o\nmodel:\n  model_type: bert\n  rope: true\ndata: d\nsteps: 1\n"));
  expect(message).toMatch(/^RUN.yaml:4: model.rope: expected a field of bert, .*\nIts fields: .*hidden_dropout_prob/);
});

const runs = fileURLToPath(new URL("../../../../../runs/", import.meta.url));

describe("runs/", () => {
  const others = ["compare.yaml", "contrastive.yaml", "quickstart-contrastive.yaml"];
  const isRun = (name: string) => name.endsWith(".yaml") && !others.includes(name);
  for (const file of readdirSync(runs).filter(isRun)) {
    test(`${file} is a valid run that parses back to itself`, () => {
      if (file.includes("contrastive")) {
        const run = loadContrastiveConfig(join(runs, file));
        expect(parseContrastiveConfig(formatRunConfig(run), { file })).toEqual(run);
        return;
      }
      const run = loadRunConfig(join(runs, file));
      expect(parseRunConfig(formatRunConfig(run), { file })).toEqual(run);
    });
  }

  const rate = (file: string, step: number) => {
    const run = loadRunConfig(join(runs, file));
    return learningRate({ ...run.schedule, peakLr: run.optimizer.lr }, step);
  };

  test("the full-size runs have the paper's learning rates, tokens and mixture", () => {
    expect([0, 1000, 2000].map((step) => rate("neobert-1024.yaml", step))).toEqual([0, 3e-4, 6e-4]);
    for (const step of [900_000, 999_999]) expect(rate("neobert-1024.yaml", step)).toBeCloseTo(6e-5, 12);
    for (const step of [0, 49_999]) expect(rate("neobert-4096.yaml", step)).toBe(6e-5);
    const [first, second] = ["neobert-1024.yaml", "neobert-4096.yaml"].map((file) => loadRunConfig(join(runs, file)));
    expect([first!.steps, first!.maxLength, first!.tokensPerStep]).toEqual([1_000_000, 1024, 2 ** 21]);
    expect([second!.steps, second!.maxLength, second!.tokensPerStep]).toEqual([50_000, 4096, 2 ** 21]);
    expect(second!.data.train.map(({ weight }) => weight)).toEqual([0.2, 0.4, 0.4]);
    expect(second!.model.from).toBe(first!.out);
  });

  test("the small run's second phase starts from its first, at the rate where that ended", () => {
    const [first, second] = ["mini-1024.yaml", "mini-4096.yaml"].map((file) => loadRunConfig(join(runs, file)));
    expect(second!.model.from).toBe(first!.out);
    expect(rate("mini-4096.yaml", 0)).toBeCloseTo(rate("mini-1024.yaml", first!.steps - 1), 12);
  });

  test("each can be tried for three steps with the README's overrides", () => {
    for (const file of ["neobert-1024.yaml", "neobert-4096.yaml"]) {
      const run = loadRunConfig(join(runs, file), ["steps=3", "tokensPerStep=8192", "data=shards"]);
      expect([run.steps, run.tokensPerStep, run.microBatchTokens]).toEqual([3, 8192, 4096]);
    }
  });
});

test("a small model's run has steps and a warm-up of its size; the published size has the published ones", () => {
  const parse = (...overrides: string[]) => {
    const text = "out: o\nmodel: {}\ndata: d\nsteps: 1000000\n";
    const { tokensPerStep, schedule } = parseRunConfig(text, { file: "RUN.yaml", overrides });
    return [tokensPerStep, schedule.warmupSteps];
  };
  expect(parse()).toEqual([2_097_152, 2000]);
  // 2 x 64 is 1/2016 of 28 x 768: 1,040 tokens, fewer than a step should have.
  const tiny = "model={ hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 2 }";
  expect(parse(tiny, "steps=300", "maxLength=128")).toEqual([4096, 30]);
  expect(parse(tiny, "maxLength=8192")[0]).toBe(8192);
  // 12 x 384 is 1/9.3.
  expect(parse("model={ hidden_size: 384, num_hidden_layers: 12 }")[0]).toBe(262_144);
  expect(parse(tiny, "tokensPerStep=65536", "steps=300", "schedule.warmupSteps=7")).toEqual([65_536, 7]);
});
