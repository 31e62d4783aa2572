// The encoders' larger ops, each one kernel forward and one backward on the CPU in float32 and bfloat16 (native/*.cc over
// native/kernels), computed in float32 and rounded once. Elsewhere, in other dtypes, and everywhere with NEOBERT_FUSED=0
// in the environment, libtorch's own ops compute the same (composed.ts).

import * as composed from "./composed.js";
import { linear } from "./functional.js";
import type { NormOptions, RotaryOptions, SplitQkvOptions } from "./fused-options.js";
import { native } from "./native.js";
import { Tensor } from "./tensor.js";

const enabled = process.env.NEOBERT_FUSED !== "0";

/** Whether the fused kernels are on: unless the environment had NEOBERT_FUSED=0 when this was loaded. */
export function fusedKernels(): boolean {
  return enabled;
}

const fits = (x: Tensor) => enabled && native.takesFused(x.handle);

/** The norm of x [.., C] over its last dimension, float32. */
export function norm(x: Tensor, options: NormOptions): Tensor {
  if (!fits(x)) return composed.norm(x, options);
  const { kind, weight, bias, eps } = options;
  const wide = x.dtype === "float32" ? x : x.to("float32");
  return new Tensor(native.fusedNorm(wide.handle, weight.handle, bias?.handle, kind === "layer", eps));
}

/** The sum x + y [.., C] and its norm: what follows a residual connection. The residual stream x is float32. */
export function addNorm(x: Tensor, y: Tensor, options: NormOptions): [sum: Tensor, normed: Tensor] {
  if (!fits(x) || x.dtype !== "float32" || !fits(y)) return composed.addNorm(x, y, options);
  const { kind, weight, bias, eps } = options;
  const both = native.fusedAddNorm(x.handle, y.handle, weight.handle, bias?.handle, kind === "layer", eps);
  return [new Tensor(both[0]), new Tensor(both[1])];
}

/** x [.., 2I] -> [.., I]: silu or gelu of the half that `gate` names, times the other (SwiGLU, GeGLU, Shazeer 2020). */
export function gatedUnit(x: Tensor, gate: "first" | "last", activation: "silu" | "gelu" = "silu"): Tensor {
  if (!fits(x)) {
    if (x.device === "cpu") return composed.gatedUnit(x, gate, activation);
    return new Tensor(native.deviceGatedUnit(x.handle, gate === "first", activation === "gelu"));
  }
  return new Tensor(native.fusedGatedUnit(x.handle, gate === "first", activation === "gelu"));
}

/** What a gated unit was made of. */
export interface GatedUnitOrigin {
  x: Tensor;
  gate: "first" | "last";
  activation: "silu" | "gelu";
}

/**
 * `linear(unit, weight)` for a `unit` that `gatedUnit` made of `origin`: the same values and gradients, but what is kept for
 * the way back is `origin.x`, which is kept anyway, and not the unit.
 */
export function gatedLinear(unit: Tensor, origin: GatedUnitOrigin, weight: Tensor): Tensor {
  const { x, gate, activation } = origin;
  if (!fits(x)) return linear(unit, weight);
  const [first, gelu] = [gate === "first", activation === "gelu"];
  return new Tensor(native.fusedGatedLinear(x.handle, unit.handle, weight.handle, first, gelu));
}

/**
 * Heads of a joint projection [.., (H + 2K) D]: q [.., H, D], k and v [.., K, D], q and k turned by rotary angles where
 * given. The projection holds q | k | v (`blocks`) or, with K = H, q0 | k0 | v0 | q1 | k1 | v1 ... (`perHead`).
 */
export function splitQkv(qkv: Tensor, options: SplitQkvOptions): [q: Tensor, k: Tensor, v: Tensor] {
  if (!fits(qkv)) return composed.splitQkv(qkv, options);
  const { layout, heads, kvHeads = heads, rotary: angles } = options;
  const [cos, sin, adjacent] = [angles?.cos.handle, angles?.sin.handle, angles?.pairing === "adjacent"];
  return native
    .fusedSplitQkv(qkv.handle, heads, kvHeads, layout === "perHead", cos, sin, adjacent)
    .map((handle) => new Tensor(handle)) as [Tensor, Tensor, Tensor];
}

/** x [.., H, D] turned by rotary angles (Su et al. 2021). */
export function rotary(x: Tensor, options: RotaryOptions): Tensor {
  if (!fits(x)) return composed.rotary(x, options);
  return new Tensor(
    native.fusedRotary(x.handle, options.cos.handle, options.sin.handle, options.pairing === "adjacent"),
  );
}

/**
 * Sum over rows of -log softmax(x weightT + bias)[label]: x [M, C], weight [V, C], bias [V], int64 labels [M] give a
 * float32 scalar; a label of -100 does not count. The logits exist for a chunk of rows at a time.
 */
export function linearCrossEntropy(x: Tensor, weight: Tensor, bias: Tensor | undefined, labels: Tensor): Tensor {
  if (!fits(x) || !fits(weight)) {
    if (x.device === "cpu") return composed.linearCrossEntropy(x, weight, bias, labels);
    return new Tensor(native.chunkedLinearCrossEntropy(x.handle, weight.handle, bias?.handle, labels.handle));
  }
  return new Tensor(native.fusedLinearCrossEntropy(x.handle, weight.handle, bias?.handle, labels.handle));
}
