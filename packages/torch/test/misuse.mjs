// Calls that once read or wrote memory of others, or ended the process: each on the compiled package, with what came of it as
// one line of JSON. Run as a process of its own, since a failure here is a crash.

import * as torch from "../dist/index.js";
import { native } from "../dist/native.js";

const { AdamW, Generator, fromTypedArray, gatedLinear, grad, matmul, ones, packedAttention, randn, zeros } = torch;
const attend = (q, k, v) => torch.scaledDotProductAttention(zeros(q), zeros(k), ones(v)).toArray();
const dropout = { p: 0.5, generator: new Generator(1) };
const packed = (borders) =>
  packedAttention(ones([4, 2, 8]), ones([4, 2, 8]), ones([4, 2, 8]), borders, { dropout }).toArray();

const calls = {
  "attention with v longer than k": () => attend([1, 2, 64, 16], [1, 2, 64, 16], [1, 2, 4096, 16]),
  "attention with v a little longer than k": () => attend([1, 1, 3, 4], [1, 1, 3, 4], [1, 1, 5, 4]),
  "attention with v shorter than k": () => attend([1, 1, 3, 4], [1, 1, 4096, 4], [1, 1, 3, 4]),
  "attention of no heads": () => attend([1, 0, 3, 4], [1, 0, 3, 4], [1, 0, 3, 4]),
  "attention of no batch": () => attend([0, 2, 3, 4], [0, 2, 3, 4], [0, 2, 3, 4]),
  "packed attention of no heads": () =>
    packedAttention(ones([3, 0, 4]), ones([3, 0, 4]), ones([3, 0, 4]), [0, 3]).toArray(),
  "packed dropout with borders that end early": () => packed([0, 2]),
  "packed dropout with borders that fall": () => packed([0, 3, 1, 4]),
  "packed dropout with borders beyond all memory": () => packed([0, 2 ** 40, 2 ** 40 + 4]),
  "packed dropout with borders that begin late": () => packed([2, 4]),
  "packed dropout of fewer keys": () =>
    packedAttention(ones([4, 2, 8]), ones([3, 2, 8]), ones([3, 2, 8]), [0, 4], { dropout }).toArray(),
  "packed dropout without tokens": () =>
    packedAttention(ones([0, 2, 8]), ones([0, 2, 8]), ones([0, 2, 8]), [0], { dropout }).toArray(),
  "a gated linear layer whose unit has fewer rows than x": () => {
    const [x, weight] = [randn([4096, 64]).requiresGrad_(), randn([8, 32]).requiresGrad_()];
    const output = gatedLinear(randn([1, 32]), { x, gate: "first", activation: "silu" }, weight);
    return grad([output.sum()], [x])[0].shape;
  },
  "a gated linear layer of numbers": () =>
    gatedLinear(ones([]), { x: ones([]), gate: "first", activation: "silu" }, ones([8, 32])).shape,
  "a shape whose bytes wrap around": () =>
    fromTypedArray(new Float32Array(4), { shape: [4, 1048577, 1099510579201] }).shape,
  "a shape whose bytes wrap around to none": () =>
    fromTypedArray(new Float32Array(0), { shape: [2 ** 32, 2 ** 32] }).shape,
  "an array over a buffer that may shrink": () => {
    const buffer = new ArrayBuffer(1 << 24, { maxByteLength: 1 << 24 });
    const x = fromTypedArray(new Float32Array(buffer));
    buffer.resize(0);
    return x.sum().item();
  },
  "an optimizer's mean that is shorter than its parameter": () => {
    const param = zeros([1 << 20]).requiresGrad_();
    const optimizer = new AdamW([param]);
    optimizer.state(param).expAvg = zeros([1]);
    param.grad = ones([1 << 20]);
    optimizer.step();
    return optimizer.state(param).step.item();
  },
  "an optimizer's mean of float32 beside a parameter of float64": () => {
    const param = zeros([1 << 20], { dtype: "float64" }).requiresGrad_();
    const optimizer = new AdamW([param]);
    optimizer.state(param).expAvgSq = zeros([1 << 20]);
    param.grad = ones([1 << 20], { dtype: "float64" });
    optimizer.step();
    return optimizer.state(param).step.item();
  },
  "angles of cosines alone": () =>
    native.fusedSplitQkv(ones([2, 12]).handle, 1, 1, false, ones([2, 2]).handle, undefined, false).length,
  "a product into another shape": () => matmul(ones([2, 3]), ones([3, 4]), { out: zeros([2, 3]) }).toArray(),
  "a generator's state that points behind its table": () => {
    const generator = new Generator(1);
    const state = generator.getState();
    new DataView(state.buffer).setInt32(8, 624, true);
    new DataView(state.buffer).setBigUint64(16, 624n, true);
    generator.setState(state);
    return randn([100], { generator }).shape;
  },
  "more threads than a system starts": () => torch.setNumThreads(2 ** 31 + 1),
  "unequal lists of an optimizer's tensors": () => {
    const x = ones([2]).handle;
    native.fusedAdam_([x, x], [x], [x], [x], [x], [undefined], 0.1, 0.9, 0.9, 0, 1e-8, 1, true);
  },
  "integers at steps below one": () => torch.arange(-1, 1, 0.1, { dtype: "int64" }).toArray(),
  "a range of integers beyond int64": () => torch.arange(2 ** 62, -(2 ** 62), -1).shape,
  "repeats whose product wraps around": () => ones([4]).repeat(2 ** 62).shape,
  "more parts than a list holds": () => zeros([0]).chunk(2 ** 40).length,
  "parts of next to nothing": () => ones([2]).split(1e-9).length,
  "a view of more elements than are worked through in a day": () => ones([1]).expand(2 ** 50).shape,
  "a tensor larger than the machine's memory": () => torch.empty([2 ** 37]).shape,
  "a diagonal at the end of int64": () =>
    ones([2, 1030])
      .triu(-(2 ** 63))
      .sum()
      .item(),
  "an argument that throws when it is written out": () => native.exp({ toString: () => 1n.x.y }),
  "a list that is a proxy": () => native.cat(new Proxy([ones([1]).handle], {}), 0),
};

for (const [name, call] of Object.entries(calls)) {
  let outcome;
  try {
    outcome = call() ?? null;
  } catch (error) {
    outcome = error.message;
  }
  console.log(JSON.stringify([name, outcome]));
}
