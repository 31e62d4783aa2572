// Each fused kernel against its limit and against libtorch's composed ops, the two sides in turns in one process; then
// attention (kernels-attention.mjs). A kernel bound by memory is shown by the bytes it has to move, each once, against a
// copy's rate; the loss, which is bound by its products, by their rate.
//   npm run bench -- kernels [--threads=N]

import { spawnSync } from "node:child_process";
import * as torch from "@neobert/torch";
import * as composed from "#torch/composed";
import { cores, here, machine, median, optionsOf, secondsOf as seconds } from "./measure.mjs";

const { Generator, grad, noGrad, randint, randn, setNumThreads, tidy } = torch;
const { threads } = optionsOf({ threads: cores });
setNumThreads(threads);
const [N, H, D, I, V, M] = [4096, 12, 64, 2048, 30522, 819];
const C = H * D;
const rounds = 9;

const random = (seed, shape, dtype) => randn(shape, { generator: new Generator(seed) }).to(dtype);
const leaf = (...args) => random(...args).requiresGrad_();

/** Median of the seconds that each side returns, in turns, the first round not counted. */
function inTurns(sides) {
  const times = Object.fromEntries(Object.keys(sides).map((side) => [side, []]));
  for (let round = 0; round <= rounds; round++)
    for (const [side, fn] of Object.entries(sides)) {
      const time = tidy(fn);
      if (round > 0) times[side].push(time);
    }
  return Object.fromEntries(Object.entries(times).map(([side, list]) => [side, median(list)]));
}

/** Forward without gradients, and backward alone, of `op` by ours and by the composed ops; `bytes` of each direction. */
function differentiable(name, bytes, leaves, op) {
  const sides = (measure) =>
    inTurns({ fused: () => measure(() => op(torch)), composed: () => measure(() => op(composed)) });
  tidy(() => {
    const forward = (run) => seconds(() => noGrad(run));
    report(`${name} forward`, bytes[0], sides(forward));
    const gradients = [op(torch)].flat().map((output, i) => random(90 + i, output.shape, output.dtype));
    const backward = (run) => {
      const outputs = [run()].flat();
      return seconds(() => grad(outputs, leaves, gradients));
    };
    report(`${name} backward`, bytes[1], sides(backward));
  });
}

let limit;
function report(name, work, { fused, composed }) {
  const rate = work / fused / 1e9;
  const share = `${rate.toFixed(0).padStart(4)} ${limit.unit}, ${((100 * rate) / limit.rate).toFixed(0)} % of the limit`;
  const against =
    composed === undefined ? "" : `composed ${(1000 * composed).toFixed(2)} ms, ${(composed / fused).toFixed(1)} x`;
  console.log(`  ${name.padEnd(34)} ${(1000 * fused).toFixed(2).padStart(7)} ms  ${share.padEnd(34)} ${against}`);
}

console.log(`${machine(threads)}; N = ${N}, C = ${C}, I = ${I}, V = ${V}; median of ${rounds}`);
for (const [dtype, b] of [
  ["float32", 4],
  ["bfloat16", 2],
])
  tidy(() => {
    // biome-ignore format: a table
    const big = random(1, [2 ** 25], "float32");
    const target = random(2, [2 ** 25], "float32");
    const copy = inTurns({ fused: () => seconds(() => target.copy_(big)) });
    limit = { rate: (2 * 4 * 2 ** 25) / copy.fused / 1e9, unit: "GB/s" };
    console.log(`${dtype}: a copy moves ${limit.rate.toFixed(0)} GB/s`);

    const [x, y, weight, bias] = [
      leaf(3, [N, C], "float32"),
      leaf(4, [N, C], dtype),
      leaf(5, [C], "float32"),
      leaf(6, [C], "float32"),
    ];
    const written = 12 + (b === 2 ? 2 : 0);
    for (const [kind, options] of [
      ["rms", { kind: "rms", weight, eps: 1e-5 }],
      ["layer", { kind: "layer", weight, bias, eps: 1e-5 }],
    ]) {
      // biome-ignore format: a table
      const leaves = [x, y, weight, ...(kind === "layer" ? [bias] : [])];
      const fn = (ops) => ops.addNorm(x, y, options);
      differentiable(`addition and ${kind} norm`, [N * C * (12 + b), N * C * (4 + written)], leaves, fn);
    }
    const halves = leaf(7, [N, 2 * I], dtype);
    for (const activation of ["silu", "gelu"]) {
      const fn = (ops) => ops.gatedUnit(halves, "first", activation);
      differentiable(`gated unit, ${activation}`, [3 * N * I * b, 5 * N * I * b], [halves], fn);
    }
    const qkv = leaf(8, [N, 3 * C], dtype);
    const [cos, sin] = [random(9, [N, D / 2], "float32").cos(), random(9, [N, D / 2], "float32").sin()];
    const heads = { layout: "perHead", heads: H, rotary: { cos, sin, pairing: "adjacent" } };
    const split = (ops) => ops.splitQkv(qkv, heads);
    differentiable("heads and rotary", [6 * N * C * b, 6 * N * C * b], [qkv], split);

    const [table, ids] = [leaf(10, [V, C], "float32"), randint(0, V, [N], { dtype: "int32" })];
    const gradient = random(11, [N, C], "float32");
    const lookup = inTurns({ fused: () => seconds(() => grad([torch.embedding(ids, table)], [table], [gradient])) });
    report("embedding and gradient (libtorch)", V * C * 4 + 4 * N * C * 4, lookup);

    const count = 2 ** 25;
    const param = leaf(12, [count], "float32");
    const grads = random(13, [count], dtype);
    const half = dtype === "bfloat16" ? param.detach().to("bfloat16").requiresGrad_() : undefined;
    const optimizer = new torch.AdamW([param], { lr: 1e-5 });
    if (half) half.grad = grads;
    else param.grad = grads;
    const copies = half && new Map([[param, half]]);
    report(
      "AdamW",
      count * 28,
      inTurns({ fused: () => seconds(() => optimizer.step({ gradScale: 0.5, ...(copies && { copies }) })) }),
    );
    report(
      "norm of the gradients",
      count * b,
      inTurns({ fused: () => seconds(() => torch.gradNorm([param], copies)) }),
    );
    optimizer.dispose();

    const [hidden, decoder] = [leaf(14, [M, C], dtype), leaf(15, [V, C], dtype)];
    const labels = randint(0, V, [M], { dtype: "int64" });
    const product = inTurns({ fused: () => seconds(() => noGrad(() => hidden.matmul(decoder.t()))) });
    limit = { rate: (2 * M * C * V) / product.fused / 1e9, unit: "GFLOP/s" };
    const loss = (ops) => () => {
      grad([ops.linearCrossEntropy(hidden, decoder, undefined, labels)], [hidden, decoder]);
    };
    report(
      "loss over the vocabulary, both ways",
      6 * M * C * V,
      inTurns({ fused: () => seconds(loss(torch)), composed: () => seconds(loss(composed)) }),
    );
  });
spawnSync(process.execPath, [here("kernels-attention.mjs"), `--threads=${threads}`], { stdio: "inherit" });
