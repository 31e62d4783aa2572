// Adam and AdamW with parameter groups, and clipping by the global norm. The step itself is one kernel over all parameters
// of a group: ours (native/optim.cc), or libtorch's where ours does not reach (its state is of the parameter's dtype, as in
// PyTorch); what is here is the bookkeeping. A step that is refused has changed nothing.
//   https://pytorch.org/docs/stable/optim.html

import { zeros } from "./creation.js";
import { fusedKernels } from "./fused.js";
import { native } from "./native.js";
import { keep, noGrad, tidy } from "./scope.js";
import type { Tensor } from "./tensor.js";

/** bfloat16 copies of parameters, which a mixed-precision step computes with. */
export type Copies = ReadonlyMap<Tensor, Tensor>;

export interface StepOptions {
  /** What every gradient is multiplied by, as clipping asks. */
  gradScale?: number;
  /** A parameter that has no gradient takes its copy's. Afterwards the copies are equal to the parameters, rounded. */
  copies?: Copies;
}

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

/**
 * What a training loop asks of an optimizer. The step of one parameter depends on no other one, so that optimizers over
 * parts of a model's parameters take, together, the step of one over all of them.
 */
export interface Optimizer {
  /** Settings may be changed between steps, as a schedule does with `lr`. */
  readonly groups: readonly { readonly params: readonly Tensor[]; lr: number }[];
  /** Updates in place every parameter that has a gradient, or whose copy has one. */
  step(options?: StepOptions): void;
  /** Drops every gradient; the next backward makes new ones. */
  zeroGrad(): void;
  /** The live state of one parameter, by name: read it to save, copy into it to load. Throws for a tensor of no group. */
  state(param: Tensor): Readonly<Record<string, Tensor>>;
  dispose(): void;
}

/** What a parameter's step needs: the running means of its gradient and of its square, and its count of steps. */
export type AdamState = {
  expAvg: Tensor;
  expAvgSq: Tensor;
  step: Tensor;
};

/** A parameter that a step moves. */
export interface Moved {
  param: Tensor;
  grad: Tensor;
  copy: Tensor | undefined;
}

/** Adam (Kingma & Ba 2015). Weight decay is an L2 term in the gradient, or, when `decoupled`, AdamW's. */
export class Adam implements Optimizer {
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

  /** Updates in place every parameter that has a gradient, or whose copy has one. */
  step({ gradScale = 1, copies }: StepOptions = {}): void {
    tidy(() => {
      const movedOf = new Map(this.groups.map((group) => [group, movedIn(group, copies)]));
      for (const moved of movedOf.values()) native.checkAdam(...this.#tensors(moved));
      for (const [group, moved] of movedOf) {
        const steps = new Map(moved.map((one) => [one, stepFor(one)]));
        const taking = (step: string) => moved.filter((one) => steps.get(one) === step);
        for (const step of ["fusedAdam_", "foreachAdam_"] as const) {
          const { lr, betas, eps, weightDecay } = group;
          const some = taking(step);
          if (some.length === 0) continue;
          native[step](...this.#tensors(some), lr, ...betas, weightDecay, eps, gradScale, this.#decoupled);
        }
        const others = taking("composed");
        if (others.length > 0) this.#composedStep(group, others, gradScale);
      }
    });
  }

  #composedStep({ lr, betas, eps, weightDecay }: ParameterGroup, moved: Moved[], gradScale: number): void {
    const gradients = moved.map(({ param }) => param.grad);
    for (const { param, grad } of moved) {
      if (gradScale !== 1 || param.grad === undefined) param.grad = grad.to(param.dtype).mul(gradScale);
    }
    const kernel = this.#decoupled ? native.adamW_ : native.adam_;
    const [params, , averages, squares, steps] = this.#tensors(moved);
    kernel(params, averages, squares, steps, lr, ...betas, weightDecay, eps);
    for (const [i, { param }] of moved.entries()) param.grad = gradients[i]; // the caller's own, or none, not the scaled one
    noGrad(() => moved.forEach(({ param, copy }) => void copy?.copy_(param)));
  }

  #tensors(moved: Moved[]) {
    const states = moved.map(({ param }) => this.state(param));
    const of = (name: keyof AdamState) => states.map((state) => state[name].handle);
    const params = moved.map(({ param }) => param.handle);
    const grads = moved.map(({ grad }) => grad.handle);
    const copies = moved.map(({ copy }) => copy?.handle);
    return [params, grads, of("expAvg"), of("expAvgSq"), of("step"), copies] as const;
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

/** The joint 2-norm of the gradients, those of the copies where a parameter has none; 0 where there are none. */
export function gradNorm(params: readonly Tensor[], copies?: Copies): number {
  return tidy(() => totalNorm(params.flatMap((param) => gradientOf(param, copies) ?? [])));
}

/** The joint 2-norm of all values of the given tensors; 0 where there are none. */
export function totalNorm(tensors: readonly Tensor[]): number {
  if (tensors.length === 0) return 0;
  const norm =
    fusedKernels() && tensors.every(({ handle }) => native.takesFused(handle))
      ? native.fusedNormOfAll
      : native.normOfAll;
  return norm(tensors.map(({ handle }) => handle));
}

/** The factor that brings gradients of the joint norm `norm` to at most `maxNorm`, by PyTorch's formula. */
export function clipScale(norm: number, maxNorm: number): number {
  return Math.min(1, maxNorm / (norm + 1e-6));
}

/** Scales all gradients so that their joint 2-norm is at most `maxNorm`; returns the norm they had. */
export function clipGradNorm_(params: readonly Tensor[], maxNorm: number): number {
  const norm = gradNorm(params);
  const scale = clipScale(norm, maxNorm);
  if (scale < 1) tidy(() => noGrad(() => params.forEach((param) => void param.grad?.mul_(scale))));
  return norm;
}

/** The parameters that have a gradient, or whose copy has one. */
export function movedIn(group: { readonly params: readonly Tensor[] }, copies: Copies | undefined): Moved[] {
  return group.params.flatMap((param) => {
    const grad = gradientOf(param, copies);
    return grad ? [{ param, grad, copy: copies?.get(param) }] : [];
  });
}

/** Our kernel on the CPU, libtorch's over all parameters at once on a GPU, and one by one what neither takes. */
function stepFor({ param, grad }: Moved): "fusedAdam_" | "foreachAdam_" | "composed" {
  if (param.dtype !== "float32") return "composed";
  if (param.device !== "cpu") return "foreachAdam_";
  return fusedKernels() && native.takesFused(grad.handle) ? "fusedAdam_" : "composed";
}

function gradientOf(param: Tensor, copies: Copies | undefined): Tensor | undefined {
  return param.grad ?? copies?.get(param)?.grad;
}
