// Adam and AdamW with parameter groups, and clipping by the global norm. The step itself is libtorch's fused kernel over
// all parameters of a group at once; what is here is the bookkeeping.
//   https://pytorch.org/docs/stable/optim.html

import { zeros } from "./creation.js";
import { native } from "./native.js";
import { keep } from "./scope.js";
import type { Tensor } from "./tensor.js";

export interface AdamOptions {
  /** Learning rate, 1e-3 unless said otherwise. */
  lr?: number;
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

export interface ParameterGroup extends Required<AdamOptions> {
  params: Tensor[];
}

/** What a parameter's step needs: the running means of its gradient and of its square, and its count of steps. */
export interface AdamState {
  expAvg: Tensor;
  expAvgSq: Tensor;
  step: Tensor;
}

/** Adam (Kingma & Ba 2015). Weight decay is an L2 term in the gradient, or, when `decoupled`, AdamW's. */
export class Adam {
  /** Settings may be changed between steps, as a schedule does with `lr`. */
  readonly groups: ParameterGroup[];
  readonly #state = new Map<Tensor, AdamState>();
  readonly #decoupled: boolean;

  constructor(
    params: readonly Tensor[] | readonly (AdamOptions & { params: Tensor[] })[],
    options: AdamOptions & { decoupled?: boolean } = {},
  ) {
    const { lr = 1e-3, betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0, decoupled = false } = options;
    const defaults = { lr, betas, eps, weightDecay };
    const groups = params.length > 0 && "params" in params[0]! ? params : [{ params }];
    this.groups = (groups as (AdamOptions & { params: Tensor[] })[]).map((group) => ({ ...defaults, ...group }));
    this.#decoupled = decoupled;
    const all = this.groups.flatMap((group) => group.params);
    if (new Set(all).size < all.length) throw new Error("Adam: expected each parameter in one group, got one in two");
    for (const param of all)
      this.#state.set(param, {
        expAvg: keep(zeros(param.shape, { dtype: param.dtype, device: param.device })),
        expAvgSq: keep(zeros(param.shape, { dtype: param.dtype, device: param.device })),
        step: keep(zeros([], { device: param.device })),
      });
  }

  /** Updates in place every parameter that has a gradient. */
  step(): void {
    const kernel = this.#decoupled ? native.adamW_ : native.adam_;
    for (const { params, lr, betas, eps, weightDecay } of this.groups) {
      const states = params.map((param) => this.state(param));
      kernel(
        params.map((param) => param.handle),
        states.map((state) => state.expAvg.handle),
        states.map((state) => state.expAvgSq.handle),
        states.map((state) => state.step.handle),
        lr,
        betas[0],
        betas[1],
        weightDecay,
        eps,
      );
    }
  }

  /** Drops every gradient; the next backward makes new ones. */
  zeroGrad(): void {
    for (const { params } of this.groups) for (const param of params) param.grad = undefined;
  }

  /** The live state of one parameter: read it to save, copy into it to load. Throws for a tensor of no group. */
  state(param: Tensor): AdamState {
    const state = this.#state.get(param);
    if (!state) throw new Error("Adam: expected a parameter of one of the groups, got another tensor");
    return state;
  }

  dispose(): void {
    for (const { expAvg, expAvgSq, step } of this.#state.values())
      for (const tensor of [expAvg, expAvgSq, step]) tensor.dispose();
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), 0.01 unless said otherwise. */
export class AdamW extends Adam {
  constructor(params: ConstructorParameters<typeof Adam>[0], options: AdamOptions = {}) {
    super(params, { weightDecay: 0.01, ...options, decoupled: true });
  }
}

/** Scales all gradients so that their joint 2-norm is at most `maxNorm`; returns the norm they had. */
export function clipGradNorm_(params: readonly Tensor[], maxNorm: number): number {
  return native.clipGradNorm_(
    params.map((param) => param.handle),
    maxNorm,
  );
}
