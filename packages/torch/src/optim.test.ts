// Adam, AdamW and clipping against PyTorch's own runs (golden/training), and what a training loop relies on: groups, saved
// state, missing gradients, repeatability.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { readGolden } from "../test/safetensors.js";
import {
  Adam,
  type AdamOptions,
  AdamW,
  clipGradNorm_,
  Generator,
  gradNorm,
  ones,
  randn,
  type Tensor,
  tensor,
  tidy,
} from "./index.js";
import { native } from "./native.js";

expectNoLeaks();

const names = ["w", "b", "e"];
const problem = readGolden("training/optimizer_problem.safetensors");
const learningRates = JSON.parse(problem.metadata.learning_rates!) as number[];

function start(): Tensor[] {
  return names.map((name) => problem.tensors(`start.${name}`).requiresGrad_());
}

function step(optimizer: Adam, params: Tensor[], i: number): void {
  optimizer.zeroGrad();
  tidy(() => {
    for (const [at, param] of params.entries()) param.grad = problem.tensors(`grad.${i}.${names[at]}`);
  });
  for (const group of optimizer.groups) group.lr = learningRates[i]!;
  optimizer.step();
}

function finish(optimizer: Adam, ...tensors: Tensor[]): void {
  optimizer.dispose();
  for (const tensor of tensors) tensor.dispose();
}

const runs: [string, (params: Tensor[]) => Adam][] = [
  ["adamw", (params) => new AdamW(params, { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1 })],
  ["adam", (params) => new Adam(params)],
  ["adam_l2", (params) => new Adam(params, { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.01 })],
];

describe("parameters after each of 20 steps, and the state after the last, are PyTorch's:", () => {
  for (const [name, make] of runs)
    test(name, () => {
      const golden = readGolden(`training/optimizer_${name}.safetensors`);
      const params = start();
      const optimizer = make(params);
      const compare = (actual: Tensor, expected: string) => tidy(() => expectClose(actual, golden.tensors(expected).toArray(), 5e-6)); // biome-ignore format: one thing
      learningRates.forEach((_, i) => {
        step(optimizer, params, i);
        for (const [at, letter] of names.entries()) compare(params[at]!, `after.${i}.${letter}`);
      });
      names.forEach((letter, at) => {
        compare(optimizer.state(params[at]!).expAvg, `state.exp_avg.${letter}`);
        compare(optimizer.state(params[at]!).expAvgSq, `state.exp_avg_sq.${letter}`);
        expect(optimizer.state(params[at]!).step.item()).toBe(learningRates.length);
      });
      finish(optimizer, ...params);
    });
});

test("a run repeats bit for bit, and one continued from saved parameters and state equals the unbroken one", () => {
  const make = runs[0]![1];
  const values = (tensors: Tensor[]) => tensors.map((tensor) => tensor.toTypedArray());
  const run = () => {
    const params = start();
    const optimizer = make(params);
    const state = () => params.flatMap((param) => Object.values(optimizer.state(param)) as Tensor[]);
    return { params, optimizer, state };
  };
  const [unbroken, again, first, second] = [run(), run(), run(), run()];
  for (let i = 0; i < 20; i++) for (const { optimizer, params } of [unbroken, again]) step(optimizer, params, i);
  expect(values(again.params)).toEqual(values(unbroken.params));

  for (let i = 0; i < 9; i++) step(first.optimizer, first.params, i);
  const saved = [...first.params, ...first.state()];
  tidy(() => [...second.params, ...second.state()].forEach((tensor, i) => void tensor.detach().copy_(saved[i]!)));
  for (let i = 9; i < 20; i++) step(second.optimizer, second.params, i);
  expect(values([...second.params, ...second.state()])).toEqual(values([...unbroken.params, ...unbroken.state()]));
  for (const { optimizer, params } of [unbroken, again, first, second]) finish(optimizer, ...params);
});

test("a parameter without a gradient keeps its values, its state and its count of steps", () => {
  const params = start();
  const optimizer = new AdamW(params, { weightDecay: 0.5 });
  const before = params[1]!.toArray();
  tidy(() => {
    params[0]!.grad = problem.tensors("grad.0.w");
  });
  optimizer.step();
  expect(params[1]!.toArray()).toEqual(before);
  expect(optimizer.state(params[1]!).step.item()).toBe(0);
  expect(optimizer.state(params[0]!).step.item()).toBe(1);
  optimizer.zeroGrad();
  const moved = params[0]!.toArray();
  optimizer.step();
  expect(params[0]!.toArray()).toEqual(moved);
  finish(optimizer, ...params);
});

test("each group has its own settings, and takes the optimizer's where it has none", () => {
  const params = start();
  const groups: (AdamOptions & { params: Tensor[] })[] = [
    { params: [params[0]!], lr: 0.5, weightDecay: 0 },
    { params: [params[1]!, params[2]!] },
  ];
  const optimizer = new AdamW(groups, { lr: 0.25, weightDecay: 0.5 });
  expect(optimizer.groups.map(({ lr, weightDecay }) => [lr, weightDecay])).toEqual([[0.5, 0], [0.25, 0.5]]); // biome-ignore format: a table
  const before = params.map((param) => param.toArray());
  tidy(() => {
    for (const param of params) param.grad = ones(param.shape);
  });
  optimizer.step();
  // The first step of Adam is lr * sign(gradient), after AdamW's decay by lr * weightDecay.
  const decay = [1, 1 - 0.25 * 0.5, 1 - 0.25 * 0.5];
  const rate = [0.5, 0.25, 0.25];
  params.forEach((param, i) => {
    expectClose(param.toArray(), before[i]!.map((value) => value * decay[i]! - rate[i]!), 1e-6); // biome-ignore format: a formula
  });
  expect(() => new Adam([params[0]!, params[0]!])).toThrow(
    "Adam: expected each parameter in one group, got one in two",
  );
  expect(() => optimizer.state(optimizer.state(params[0]!).step)).toThrow(
    "Adam: expected a parameter of one of the groups",
  );
  finish(optimizer, ...params);
});

describe.each(native.instructionSets())("with %s instructions,", (set) => {
  const before = native.instructionSet();
  beforeAll(() => native.setInstructionSet(set));
  afterAll(() => native.setInstructionSet(before));

  // 70,001 values are more than one piece of a thread's work, and no whole number of vectors.
  const cases = [1, 37, 70_001].flatMap((length) => [true, false].map((decoupled) => ({ length, decoupled })));
  for (const { length, decoupled } of cases)
    tidyTest(`${length} values move by the formula in float64, AdamW's: ${decoupled}`, () => {
      const Kind = decoupled ? AdamW : Adam;
      const random = (seed: number) => randn([length], { generator: new Generator(seed) });
      const param = random(1).requiresGrad_();
      const copy = param.detach().to("bfloat16").requiresGrad_();
      const [lr, beta1, beta2, eps, weightDecay, gradScale] = [0.02, 0.9, 0.95, 1e-6, 0.1, 0.25];
      const optimizer = new Kind([param], { lr, betas: [beta1, beta2], eps, weightDecay });
      const values = param.toArray();
      const [m, v] = [values.map(() => 0), values.map(() => 0)];
      for (const t of [1, 2, 3]) {
        copy.grad = random(t + 1).to("bfloat16");
        copy.grad.toArray().forEach((raw, i) => {
          const g = raw * gradScale + (decoupled ? 0 : weightDecay * values[i]!);
          m[i] = beta1 * m[i]! + (1 - beta1) * g;
          v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
          const decayed = values[i]! * (decoupled ? 1 - lr * weightDecay : 1);
          values[i] = decayed - (lr * (m[i]! / (1 - beta1 ** t))) / (Math.sqrt(v[i]! / (1 - beta2 ** t)) + eps);
        });
        optimizer.step({ gradScale, copies: new Map([[param, copy]]) });
      }
      expectClose(param.detach(), values, 1e-5);
      expect(copy.toArray()).toEqual(param.detach().to("bfloat16").toArray());
      expect(param.grad).toBeUndefined();
      optimizer.dispose();
    });

  tidyTest("the joint norm counts a copy's gradient where a parameter has none", () => {
    const params = [ones([70_001]), ones([3]), ones([2])].map((param) => param.requiresGrad_());
    const copy = params[1]!.detach().to("bfloat16").requiresGrad_();
    params[0]!.grad = ones([70_001]).mul(0.5);
    copy.grad = tensor([3, 4, 5]).to("bfloat16");
    const copies = new Map([[params[1]!, copy]]);
    expect(gradNorm(params, copies)).toBeCloseTo(Math.sqrt(70_001 / 4 + 50), 4);
    expect(gradNorm(params)).toBeCloseTo(Math.sqrt(70_001 / 4), 4);
    expect(gradNorm([params[2]!])).toBe(0);
  });
});

tidyTest("where our kernel does not reach, libtorch's takes the same step from copies and a scale", () => {
  const [float32, float64] = (["float32", "float64"] as const).map((dtype) => {
    const param = randn([50], { generator: new Generator(3) })
      .to(dtype)
      .requiresGrad_();
    const copy = param.detach().to("bfloat16").requiresGrad_();
    copy.grad = randn([50], { generator: new Generator(4) }).to("bfloat16");
    const optimizer = new AdamW([param], { lr: 0.02, weightDecay: 0.1 });
    optimizer.step({ gradScale: 0.5, copies: new Map([[param, copy]]) });
    optimizer.dispose();
    return { param, copy };
  });
  expectClose(float32!.param.detach(), float64!.param.toArray(), 1e-6);
  expect(float32!.copy.toArray()).toEqual(float64!.copy.toArray());
});

describe.each(["adamw", "adam"] as const)("bfloat16 parameters under %s", (kind) => {
  tidyTest("move by the formula in float64 with parameter, means and squares rounded after each step", () => {
    const random = (seed: number) => randn([37], { generator: new Generator(seed) }).to("bfloat16");
    const round = (values: number[]) => tensor(values, { dtype: "float64" }).to("bfloat16").toArray();
    const param = random(1).requiresGrad_();
    const [lr, beta1, beta2, eps, weightDecay, gradScale] = [0.25, 0.9, 0.95, 1e-6, 0.1, 0.5];
    const optimizer = new (kind === "adamw" ? AdamW : Adam)([param], { lr, betas: [beta1, beta2], eps, weightDecay });
    let values = param.toArray();
    let [m, v] = [values.map(() => 0), values.map(() => 0)];
    for (const t of [1, 2, 3]) {
      param.grad = random(t + 1);
      const l2 = kind === "adamw" ? 0 : weightDecay;
      const g = param.grad.toArray().map((raw, i) => raw * gradScale + l2 * values[i]!);
      m = round(m.map((mean, i) => beta1 * mean + (1 - beta1) * g[i]!));
      v = round(v.map((square, i) => beta2 * square + (1 - beta2) * g[i]! ** 2));
      values = round(
        values.map((value, i) => {
          const update = (lr * (m[i]! / (1 - beta1 ** t))) / (Math.sqrt(v[i]! / (1 - beta2 ** t)) + eps);
          return value * (kind === "adamw" ? 1 - lr * weightDecay : 1) - update;
        }),
      );
      optimizer.step({ gradScale });
    }
    const { expAvg, expAvgSq, step } = optimizer.state(param);
    expect([param.dtype, expAvg.dtype, expAvgSq.dtype, step.item()]).toEqual(["bfloat16", "bfloat16", "bfloat16", 3]);
    expectClose(param.detach(), values, 2 ** -7); // two units in the last place: the kernel rounds what float32 gave
    optimizer.dispose();
  });

  tidyTest("step beside float32 ones in one group, each as it does alone", () => {
    const make = (dtype: "float32" | "bfloat16") => {
      const param = randn([9], { generator: new Generator(1) })
        .to(dtype)
        .requiresGrad_();
      param.grad = randn([9], { generator: new Generator(2) }).to(dtype);
      return param;
    };
    const step = (params: Tensor[]) => {
      const optimizer = new (kind === "adamw" ? AdamW : Adam)(params, { lr: 0.5 });
      optimizer.step();
      optimizer.dispose();
      return params.map((param) => param.toArray());
    };
    const [alone, other] = [step([make("float32")]), step([make("bfloat16")])];
    expect(step([make("float32"), make("bfloat16")])).toEqual([...alone, ...other]);
  });
});

tidyTest("a step that is refused has moved no parameter of any group, counted no step and touched no mean", () => {
  const params = ["float32", "bfloat16", "float64", "float32"].map((dtype) => {
    const param = ones([3])
      .to(dtype as "float32")
      .requiresGrad_();
    param.grad = ones([3]).to(param.dtype);
    return param;
  });
  const optimizer = new AdamW(params.map((param) => ({ params: [param] })));
  const wrongCopy = new Map([[params[3]!, ones([2]).to("bfloat16")]]);
  const state = optimizer.state(params[3]!);
  const { expAvg, step } = state;
  const refused = (message: string, copies?: Map<Tensor, Tensor>) => {
    expect(() => optimizer.step(copies ? { copies } : {})).toThrow(message);
    for (const param of params) {
      expect(param.toArray()).toEqual([1, 1, 1]);
      expect(optimizer.state(param).step.toArray()[0]).toBe(0);
      expect(optimizer.state(param).expAvgSq.toArray()).toEqual([0, 0, 0]);
    }
  };
  refused("Adam: expected a copy BFloat16 [3] on cpu, contiguous, like its parameter, got BFloat16 [2]", wrongCopy);
  state.expAvg = ones([2]);
  refused("Adam: expected a running mean Float [3]");
  state.expAvg = expAvg;
  state.step = tensor([0, 0]);
  refused("Adam: expected a count of steps Float []");
  state.step = step;
  optimizer.step();
  expect(params.map((param) => optimizer.state(param).step.item())).toEqual([1, 1, 1, 1]);
  optimizer.dispose();
});

tidyTest("a gradient that is not laid out like its parameter updates the same elements", () => {
  const [param, grad] = [ones([2, 3], { requiresGrad: true }), tensor([[1, -2], [3, -4], [5, 6]])]; // biome-ignore format: a matrix
  param.grad = grad.t();
  const optimizer = new Adam([param], { lr: 0.5 });
  optimizer.step();
  expectClose(param.detach(), [0.5, 0.5, 0.5, 1.5, 1.5, 0.5], 1e-6);
  optimizer.dispose();
});

tidyTest("a parameter with gaps in memory is refused, as the fused kernel would write into them", () => {
  const param = ones([2, 4]).narrow(1, 0, 2).requiresGrad_();
  const optimizer = new Adam([param]);
  param.grad = ones([2, 2]);
  expect(() => optimizer.step()).toThrow("expected contiguous parameters, got one of shape [2, 2] and strides [4, 1]");
  optimizer.dispose();
});

describe("clipping to a joint 2-norm gives PyTorch's norm and gradients", () => {
  const golden = readGolden("training/clipping.safetensors");
  type Case = { case: number; max_norm: number; norm_type: number | "inf"; total_norm: number };
  const cases = (JSON.parse(golden.metadata.cases!) as Case[]).filter(({ norm_type }) => norm_type === 2);
  for (const { case: number, max_norm: maxNorm, total_norm: totalNorm } of cases)
    tidyTest(`case ${number}: norm ${totalNorm} to ${maxNorm}`, () => {
      const params = [0, 1, 2].map((i) => {
        const before = golden.tensors(`${number}.before.${i}`);
        const param = before.mul(0).requiresGrad_();
        param.grad = before;
        return param;
      });
      const norm = clipGradNorm_(params, maxNorm);
      expect(Math.abs(norm - totalNorm)).toBeLessThanOrEqual(1e-6 * totalNorm);
      params.forEach((param, i) => {
        const expected = golden.tensors(`${number}.after.${i}`).toArray();
        param.grad!.toArray().forEach((value, j) => {
          expect(Math.abs(value - expected[j]!)).toBeLessThanOrEqual(1e-6 * Math.abs(expected[j]!));
        });
      });
    });

  tidyTest("parameters without a gradient do not count", () => {
    const [x, y] = [ones([2], { requiresGrad: true }), ones([9], { requiresGrad: true })];
    expect(clipGradNorm_([x, y], 1)).toBe(0);
    x.grad = tensor([3, 4]);
    expect(clipGradNorm_([x, y], 10)).toBe(5);
    expect(x.grad.toArray()).toEqual([3, 4]);
  });
});
