// The encoders' larger ops composed of libtorch's own: the reference that the fused kernels are tested against, and what
// computes where those do not reach (another device, another dtype, NEOBERT_FUSED=0). fused.ts documents each op.

import { cat, crossEntropy, layerNorm, linear, rmsNorm } from "./functional.js";
import type { NormOptions, RotaryOptions, SplitQkvOptions } from "./fused-options.js";
import { type DType, native } from "./native.js";
import { Tensor } from "./tensor.js";

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
  // Query and key lie side by side in both layouts, and are turned together.
  if (layout === "perHead") {
    const [joint, v] = splitHeads(qkv, H).split([2 * D, D], -1) as [Tensor, Tensor]; // [N, 3C] -> [N, H, 2D], [N, H, D]
    const pair = joint.reshape(...joint.shape.slice(0, -1), 2, D); // [N, H, 2, D]
    const turned = angles ? turn(pair, angles, 2) : pair;
    const [q, k] = turned.unbind(-2) as [Tensor, Tensor];
    return [q, k, v];
  }
  const [joint, last] = qkv.split([(H + K) * D, K * D], -1) as [Tensor, Tensor];
  const heads = splitHeads(joint, H + K); // [N, H + K, D]
  const [q, k] = (angles ? turn(heads, angles, 1) : heads).split([H, K], -2) as [Tensor, Tensor];
  return [q, k, splitHeads(last, K)];
}

export function rotary(x: Tensor, angles: RotaryOptions): Tensor {
  return turn(x, angles, 1);
}

/** x [N, .., D] with `between` dimensions that have the same angles [N, D/2]. */
function turn(x: Tensor, { cos, sin, pairing }: RotaryOptions, between: number): Tensor {
  const wide = widened(x);
  const spread = (angles: Tensor) => {
    const shape = angles.shape;
    return angles.reshape(...shape.slice(0, -1), ...Array<number>(between).fill(1), shape.at(-1)!);
  };
  const [c, s] = [spread(cos), spread(sin)];
  if (pairing === "adjacent") return cast(new Tensor(native.turnPairs(wide.handle, c.handle, s.handle)), x.dtype);
  const [a, b] = wide.chunk(2, -1) as [Tensor, Tensor];
  return cast(cat([a.mul(c).sub(b.mul(s)), b.mul(c).add(a.mul(s))], -1), x.dtype);
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
