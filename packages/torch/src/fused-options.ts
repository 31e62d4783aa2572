// What the fused ops (fused.ts) and the ops that compute the same (composed.ts) are asked for.

import type { Tensor } from "./tensor.js";

/** x / sqrt(mean(x^2) + eps) * weight (`rms`), or with the mean subtracted first and `bias` added (`layer`). */
export interface NormOptions {
  kind: "rms" | "layer";
  /** [C], float32 as is `bias`. */
  weight: Tensor;
  bias?: Tensor;
  eps: number;
}

/** Angles of each token, [.., D/2] float32; pairs of components (2j, 2j + 1) or (j, j + D/2) turn by the j-th. */
export interface RotaryOptions {
  cos: Tensor;
  sin: Tensor;
  pairing: "adjacent" | "half";
}

export interface SplitQkvOptions {
  layout: "blocks" | "perHead";
  heads: number;
  /** Heads of k and of v, of which `heads` is a multiple (Ainslie et al. 2023); as many unless given. */
  kvHeads?: number;
  rotary?: RotaryOptions;
}
