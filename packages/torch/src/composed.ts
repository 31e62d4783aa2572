// The encoders' larger ops composed of libtorch's own: the reference that the fused kernels are tested against, and what
// computes where those do not reach (another device, another dtype, NEOBERT_FUSED=0). fused.ts documents each op.

import { cat, crossEntropy, layerNorm, linear, rmsNorm, stack } from "./functional.js";
import type { NormOptions, RotaryOptions, SplitQkvOptions } from "./fused-options.js";
import type { DType } from "./native.js";
import type { Tensor } from "./tensor.js";

export function norm(x: Tensor, { kind, weight, bias, eps }: NormOptions): Tensor {
  const wide = widened(x);
  const shape = [x.shape.at(-1)!];
  return kind === "rms" ? rmsNorm(wide, shape, weight, { eps }) : layerNorm(wide, shape, weight, bias, { eps });
}

export function addNorm(x: Tensor, y: Tensor, options: NormOptions): [sum: Tensor, normed: Tensor] {
  const sum = x.add(y);
  return [sum, norm(sum, options)];
}

export function gatedUnit(x: Tensor, gate: "first" | "last", activation: "silu" | "gelu"): Tensor {
  // In bfloat16 the product is rounded once, not its factor before it as well.
  const [first, last] = widened(x).chunk(2, -1) as [Tensor, Tensor];
  const [gated, other] = gate === "first" ? [first, last] : [last, first];
  return cast((activation === "silu" ? gated.silu() : gated.gelu()).mul(other), x.dtype);
}

export function splitQkv(qkv: Tensor, options: SplitQkvOptions): [q: Tensor, k: Tensor, v: Tensor] {
  const { layout, heads: H, kvHeads: K = H, rotary: angles } = options;
  const D = qkv.shape.at(-1)! / (H + 2 * K);
  if (!(K > 0 && H % K === 0 && Number.isInteger(D)))
    throw new Error(
      `splitQkv: expected qkv [.., (H + 2K) D] with H a multiple of K, got [${qkv.shape}], H = ${H} and K = ${K}`,
    );
  if (layout === "perHead" && K !== H)
    throw new Error(
      `splitQkv: expected as many kvHeads as heads in layout perHead, got ${K} and ${H}\nLayout blocks takes fewer.`,
    );
  const parts =
    layout === "perHead"
      ? splitHeads(qkv, H).chunk(3, -1) // [N, 3C] -> [N, H, 3D] -> 3 of [N, H, D]
      : qkv.split([H * D, K * D, K * D], -1).map((part, i) => splitHeads(part, i === 0 ? H : K)); // [N, H, D], 2 of [N, K, D]
  const [q, k, v] = parts as [Tensor, Tensor, Tensor];
  return angles ? [rotary(q, angles), rotary(k, angles), v] : [q, k, v];
}

export function rotary(x: Tensor, { cos, sin, pairing }: RotaryOptions): Tensor {
  const wide = widened(x); // [N, H, D]
  const [c, s] = [cos.unsqueeze(-2), sin.unsqueeze(-2)]; // [N, D/2] -> [N, 1, D/2]
  const turn = (a: Tensor, b: Tensor) => [a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))];
  let rotated: Tensor;
  if (pairing === "half") {
    const [a, b] = wide.chunk(2, -1) as [Tensor, Tensor];
    rotated = cat(turn(a, b), -1);
  } else {
    const [a, b] = wide.reshape(...x.shape.slice(0, -1), x.shape.at(-1)! / 2, 2).unbind(-1) as [Tensor, Tensor];
    rotated = stack(turn(a, b), -1).flatten(-2); // 2 of [N, H, D/2] -> [N, H, D/2, 2] -> [N, H, D]
  }
  return cast(rotated, x.dtype);
}

export function linearCrossEntropy(x: Tensor, weight: Tensor, bias: Tensor | undefined, labels: Tensor): Tensor {
  const { dtype } = weight;
  const logits = linear(cast(x, dtype), weight, bias && cast(bias, dtype)); // [M, C] -> [M, V]
  return crossEntropy(widened(logits), labels, { reduction: "sum" });
}

function splitHeads(x: Tensor, heads: number): Tensor {
  return x.reshape(...x.shape.slice(0, -1), heads, x.shape.at(-1)! / heads);
}

function widened(x: Tensor): Tensor {
  return x.dtype === "bfloat16" ? x.to("float32") : x;
}

function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : x.to(dtype);
}
