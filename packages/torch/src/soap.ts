// SOAP (Vyas et al. 2024, arXiv 2409.11321): Adam in the eigenbasis of Shampoo's preconditioner. For a matrix G [M, N] of
// gradients, GG0 and GG1 are running means of G GT [M, M] and of GT G [N, N], and Q0 and Q1 their eigenvectors; Adam's means
// are of Q0T G Q1. Vectors, and sides longer than `maxPrecondDim`, have no basis: there it is Adam.
// As in the authors' code a parameter's first step only fills its preconditioner, eps is added before bias correction, and
// weights decay after the step. Everything is float32.
//   https://github.com/nikhilvyas/SOAP

import { zeros } from "./creation.js";
import { linalgEigh, linalgQr } from "./functional.js";
import { type Moved, movedIn, type Optimizer, type StepOptions } from "./optim.js";
import { keep, noGrad, tidy } from "./scope.js";
import { type PreconditionOptions, preconditionDefaults, preconditionedDims } from "./soap-cost.js";
import type { Tensor } from "./tensor.js";

export interface SOAPOptions extends PreconditionOptions {
  /** Learning rate, 3e-3 unless said otherwise. */
  lr?: number;
  /** Decay of Adam's two means; the second is the preconditioner's too. 0.95 unless said otherwise. */
  betas?: readonly [number, number];
  eps?: number;
  /** 0.01 unless said otherwise. */
  weightDecay?: number;
}

interface Group extends Required<Omit<SOAPOptions, keyof PreconditionOptions>> {
  readonly params: readonly Tensor[];
  readonly preconditionFrequency: number;
  readonly maxPrecondDim: number | undefined;
}

/** The preconditioner of one dimension and its eigenvectors, both [D, D]. */
interface Side {
  dim: number;
  gg: Tensor;
  q: Tensor;
}

export class SOAP implements Optimizer {
  readonly groups: readonly [Group];
  readonly #state = new Map<Tensor, Record<string, Tensor>>();

  /** Throws where a parameter is not float32 or has more than two dimensions. */
  constructor(params: readonly Tensor[], options: SOAPOptions = {}) {
    const { lr = 3e-3, betas = [0.95, 0.95], eps = 1e-8, weightDecay = 0.01, maxPrecondDim } = options;
    const { preconditionFrequency = preconditionDefaults.preconditionFrequency } = options;
    const group: Group = { params, lr, betas, eps, weightDecay, preconditionFrequency, maxPrecondDim };
    this.groups = [group];
    if (new Set(params).size < params.length) throw new Error("SOAP: expected each parameter once, got one twice");
    for (const { dtype, shape } of params)
      if (dtype !== "float32" || shape.length > 2)
        throw new Error(`SOAP: expected float32 vectors and matrices, got ${dtype} [${shape}]\nAdamW takes any.`);
    for (const param of params) this.#state.set(param, startState(param, group));
  }

  /** Updates in place every parameter that has a gradient, or whose copy has one. */
  step({ gradScale = 1, copies }: StepOptions = {}): void {
    const [group] = this.groups;
    tidy(() =>
      noGrad(() => {
        const moved = movedIn(group, copies);
        moved.forEach(checkShapes);
        for (const one of moved) tidy(() => stepOne(group, one, this.state(one.param), gradScale));
      }),
    );
  }

  /** Drops every gradient; the next backward makes new ones. */
  zeroGrad(): void {
    for (const param of this.groups[0].params) param.grad = undefined;
  }

  /**
   * The live state of one parameter: `step`, its steps so far with the first; `expAvg` and `expAvgSq`, in the basis; and for
   * a dimension i with a basis `ggi` and `qi`. Throws for a tensor that is none of the parameters.
   */
  state(param: Tensor): Readonly<Record<string, Tensor>> {
    const state = this.#state.get(param);
    if (!state) throw new Error("SOAP: expected one of the parameters, got another tensor");
    return state;
  }

  dispose(): void {
    for (const state of this.#state.values()) for (const tensor of Object.values(state)) tensor.dispose();
  }
}

function startState({ shape, device }: Tensor, options: PreconditionOptions): Record<string, Tensor> {
  const state: Record<string, Tensor> = {
    expAvg: keep(zeros(shape, { device })),
    expAvgSq: keep(zeros(shape, { device })),
    step: keep(zeros([], { device })),
  };
  for (const dim of preconditionedDims(shape, options)) {
    const side = [shape[dim]!, shape[dim]!];
    state[`gg${dim}`] = keep(zeros(side, { device }));
    state[`q${dim}`] = keep(zeros(side, { device }));
  }
  return state;
}

function checkShapes({ param, grad, copy }: Moved): void {
  for (const [what, { shape }] of Object.entries({ "a gradient": grad, ...(copy && { "a copy": copy }) }))
    if (String(shape) !== String(param.shape))
      throw new Error(`SOAP: expected ${what} [${param.shape}] like its parameter, got [${shape}]`);
}

/** The step of one parameter, of which each has its own count. */
function stepOne(
  { lr, betas: [beta1, beta2], eps, weightDecay, ...options }: Group,
  { param, grad, copy }: Moved,
  state: Readonly<Record<string, Tensor>>,
  gradScale: number,
): void {
  const gradient = grad.to("float32").mul(gradScale);
  const { expAvg, expAvgSq } = state as { expAvg: Tensor; expAvgSq: Tensor };
  const sides = preconditionedDims(param.shape, options).map((dim): Side => {
    return { dim, gg: state[`gg${dim}`]!, q: state[`q${dim}`]! };
  });
  const updates = state.step!.add_(1).item() - 1;
  if (updates === 0) {
    for (const side of sides) {
      accumulate(side, gradient, beta2);
      side.q.copy_(eigenvectors(side.gg));
    }
    return;
  }
  const rotated = intoBasis(gradient, sides);
  expAvg.mul_(beta1).add_(rotated, { alpha: 1 - beta1 });
  expAvgSq.mul_(beta2).add_(rotated.square(), { alpha: 1 - beta2 });
  const update = outOfBasis(expAvg.div(expAvgSq.sqrt().add_(eps)), sides);
  const stepSize = (lr * Math.sqrt(1 - beta2 ** updates)) / (1 - beta1 ** updates);
  param.add_(update, { alpha: -stepSize }).mul_(1 - lr * weightDecay);
  copy?.copy_(param);

  for (const side of sides) accumulate(side, gradient, beta2);
  if (sides.length === 0 || updates % options.preconditionFrequency !== 0) return;
  const average = outOfBasis(expAvg, sides);
  for (const side of sides) refresh(side, expAvgSq);
  expAvg.copy_(intoBasis(average, sides));
}

/** Adds the gradient's product with itself, over the other dimension, to the side's running mean. */
function accumulate({ dim, gg }: Side, gradient: Tensor, beta: number): void {
  const rows = dim === 0 ? gradient : gradient.t(); // [D, other]
  gg.mul_(beta).add_(rows.matmul(rows.t()), { alpha: 1 - beta });
}

/** Columns by falling eigenvalue. Where float32 does not converge, float64 does. */
function eigenvectors(gg: Tensor): Tensor {
  try {
    return linalgEigh(gg).eigenvectors.flip(1);
  } catch {
    return linalgEigh(gg.to("float64")).eigenvectors.flip(1);
  }
}

/** One power iteration from the basis before, its columns, and the squares that belong to them, sorted anew. */
function refresh({ dim, gg, q }: Side, expAvgSq: Tensor): void {
  const product = gg.matmul(q);
  const order = q.mul(product).sum(0).sort(0, { descending: true }).indices; // by the estimated eigenvalues
  expAvgSq.copy_(expAvgSq.indexSelect(dim, order));
  q.copy_(linalgQr(product.indexSelect(1, order)).q);
}

/** Q0T x Q1, each where there is one. */
function intoBasis(x: Tensor, sides: readonly Side[]): Tensor {
  return sides.reduce((x, { dim, q }) => (dim === 0 ? q.t().matmul(x) : x.matmul(q)), x);
}

/** Q0 x Q1T, each where there is one. */
function outOfBasis(x: Tensor, sides: readonly Side[]): Tensor {
  return sides.reduce((x, { dim, q }) => (dim === 0 ? q.matmul(x) : x.matmul(q.t())), x);
}
