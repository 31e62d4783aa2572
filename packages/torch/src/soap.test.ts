// SOAP against the authors' own runs (golden/training), and what a training loop relies on: saved state, copies, scaled
// gradients, refusals. Bases are unique up to signs only, so parameters are compared, never a basis.

import { describe, expect, test } from "vitest";
import { expectClose } from "../test/gradients.js";
import { expectNoLeaks, tidyTest } from "../test/leaks.js";
import { readGolden } from "../test/safetensors.js";
import { Generator, ones, randn, SOAP, soapStateSize, soapStepFlops, type Tensor, tidy } from "./index.js";

expectNoLeaks();

const names = ["square", "tall", "vector"];
const problem = readGolden("training/optimizer_soap_problem.safetensors");
const STEPS = 24;
const settings = { lr: 3e-3, betas: [0.95, 0.95], eps: 1e-8, weightDecay: 0.01, maxPrecondDim: 8 } as const;

function start(options: ConstructorParameters<typeof SOAP>[1]) {
  const params = names.map((name) => problem.tensors(`start.${name}`).requiresGrad_());
  const optimizer = new SOAP(params, { ...settings, ...options });
  const state = () => params.flatMap((param) => Object.values(optimizer.state(param)));
  const dispose = () => {
    optimizer.dispose();
    for (const param of params) param.dispose();
  };
  return { params, optimizer, state, dispose };
}

type Started = ReturnType<typeof start>;

function step({ params, optimizer }: Pick<Started, "params" | "optimizer">, i: number): void {
  optimizer.zeroGrad();
  tidy(() => {
    for (const [at, param] of params.entries()) param.grad = problem.tensors(`grad.${i}.${names[at]}`);
  });
  optimizer.step();
}

describe("parameters after each of 24 steps are those of the authors' code, with new bases every", () => {
  test.each([3, 10])("%i steps", (preconditionFrequency) => {
    const golden = readGolden(`training/optimizer_soap_${preconditionFrequency}.safetensors`);
    const run = start({ preconditionFrequency });
    for (let i = 0; i < STEPS; i++) {
      step(run, i);
      for (const [at, name] of names.entries())
        tidy(() => expectClose(run.params[at]!, golden.tensors(`after.${i}.${name}`).toArray(), 1e-5));
    }
    // A vector has no basis, so its means are comparable.
    const { expAvg, expAvgSq } = run.optimizer.state(run.params[2]!);
    tidy(() => expectClose(expAvg!, golden.tensors("state.exp_avg.vector").toArray(), 5e-6));
    tidy(() => expectClose(expAvgSq!, golden.tensors("state.exp_avg_sq.vector").toArray(), 5e-6));
    run.dispose();
  });
});

test("the state is all there is: a run continued from it at any step equals the unbroken one bit for bit", () => {
  const options = { preconditionFrequency: 3 };
  const values = ({ params, state }: Started) => [...params, ...state()].map((tensor) => tensor.toTypedArray());
  const unbroken = start(options);
  for (let i = 0; i < STEPS; i++) step(unbroken, i);
  for (const stop of [1, 2, 3, 4, 11]) {
    const [first, second] = [start(options), start(options)];
    for (let i = 0; i < stop; i++) step(first, i);
    const saved = [...first.params, ...first.state()];
    tidy(() => [...second.params, ...second.state()].forEach((tensor, i) => void tensor.detach().copy_(saved[i]!)));
    for (let i = stop; i < STEPS; i++) step(second, i);
    expect(values(second)).toEqual(values(unbroken));
    first.dispose();
    second.dispose();
  }
  unbroken.dispose();
});

test("optimizers over parts of the parameters take together the steps of one over all", () => {
  const whole = start({});
  const parts = start({});
  const owners = parts.params.map((param) => new SOAP([param], settings));
  for (let i = 0; i < STEPS; i++) {
    step(whole, i);
    for (const [at, optimizer] of owners.entries()) {
      tidy(() => {
        parts.params[at]!.grad = problem.tensors(`grad.${i}.${names[at]}`);
      });
      optimizer.step();
    }
  }
  const values = ({ params }: Started) => params.map((param) => param.toTypedArray());
  expect(values(parts)).toEqual(values(whole));
  for (const one of [whole, parts, ...owners]) one.dispose();
});

tidyTest("a scaled gradient of a bfloat16 copy moves the float32 parameter, and the copy after it", () => {
  const random = (seed: number) => randn([6, 4], { generator: new Generator(seed) });
  const [param, other] = [random(1).requiresGrad_(), random(1).requiresGrad_()];
  const copy = param.detach().to("bfloat16").requiresGrad_();
  const [scaled, plain] = [new SOAP([param], settings), new SOAP([other], settings)];
  for (let i = 0; i < 12; i++) {
    copy.grad = random(i + 2).to("bfloat16");
    other.grad = copy.grad.to("float32").mul(0.25);
    scaled.step({ gradScale: 0.25, copies: new Map([[param, copy]]) });
    plain.step();
  }
  expect(param.toArray()).toEqual(other.toArray());
  expect(param.toArray()).not.toEqual(random(1).toArray());
  expect(copy.toArray()).toEqual(param.detach().to("bfloat16").toArray());
  expect(param.grad).toBeUndefined();
  scaled.dispose();
  plain.dispose();
});

tidyTest("a parameter without a gradient keeps its values, its state and its count of steps", () => {
  const [moving, still] = [ones([3, 3]).requiresGrad_(), ones([3, 3]).requiresGrad_()];
  const optimizer = new SOAP([moving, still]);
  for (const _ of [1, 2]) {
    moving.grad = ones([3, 3]);
    optimizer.step();
  }
  expect(still.toArray()).toEqual(ones([3, 3]).toArray());
  expect([moving, still].map((param) => optimizer.state(param).step!.item())).toEqual([2, 0]);
  expect(optimizer.state(still).gg0!.toArray()).toEqual(Array(9).fill(0));
  optimizer.dispose();
});

tidyTest("what it cannot step is refused with nothing changed", () => {
  const param = ones([2, 3]).requiresGrad_();
  const bf16 = ones([2, 3]).to("bfloat16");
  expect(() => new SOAP([bf16])).toThrow("SOAP: expected float32 vectors and matrices, got bfloat16 [2,3]\nAdamW");
  expect(() => new SOAP([ones([1, 2, 3])])).toThrow("got float32 [1,2,3]");
  expect(() => new SOAP([param, param])).toThrow("SOAP: expected each parameter once, got one twice");
  const optimizer = new SOAP([param]);
  param.grad = ones([2, 3]);
  const copies = new Map<Tensor, Tensor>([[param, ones([3]).to("bfloat16")]]);
  expect(() => optimizer.step({ copies })).toThrow("SOAP: expected a copy [2,3] like its parameter, got [3]");
  expect(optimizer.state(param).step!.item()).toBe(0);
  expect(() => optimizer.state(bf16)).toThrow("SOAP: expected one of the parameters, got another tensor");
  optimizer.dispose();
});

tidyTest("size and cost follow from the shape: long sides and vectors have no basis", () => {
  const param = ones([6, 4]);
  const optimizer = new SOAP([param]);
  const { step: _, ...kept } = optimizer.state(param);
  expect(soapStateSize([6, 4])).toBe(Object.values(kept).reduce((sum, { numel }) => sum + numel, 0));
  optimizer.dispose();
  const shapes = [[30_522, 768], [768], [4096, 768]]; // biome-ignore format: a list
  expect(shapes.map((shape) => soapStateSize(shape))).toEqual([
    2 * 30_522 * 768 + 2 * 768 ** 2,
    2 * 768,
    2 * 4096 * 768 + 2 * (768 ** 2 + 4096 ** 2),
  ]);
  const [embedding, vector, matrix] = shapes.map((shape) => soapStepFlops(shape));
  expect(vector).toBe(15 * 768);
  expect(embedding).toBeCloseTo(15 * 30_522 * 768 + 6.4 * 30_522 * 768 ** 2 + (14 / 30) * 768 ** 3, -3);
  expect(matrix!).toBeGreaterThan(6 * 4096 ** 2 * 768);
  expect(soapStepFlops([4096, 768], { maxPrecondDim: 1024 })).toBeLessThan(matrix! / 4);
  expect(soapStepFlops([768, 768], { preconditionFrequency: 1 })).toBeGreaterThan(1.5 * soapStepFlops([768, 768]));
});
