// Lifetime of tensors and grad mode, both as closures. Garbage collection does not keep up with a synchronous loop, so
// `tidy` frees what was made inside it; a tensor made outside every tidy lives until `dispose()` or its collection.

import { native } from "./native.js";
import { Tensor } from "./tensor.js";

interface Scope {
  readonly tensors: Tensor[];
  readonly outer: Scope | undefined;
}
let scope: Scope | undefined;

const collected = new FinalizationRegistry<number>((handle) => native.dispose(handle));

/** Called by the Tensor constructor: the innermost tidy owns it, or the garbage collector. */
export function own(tensor: Tensor): void {
  if (scope) scope.tensors.push(tensor);
  else collected.register(tensor, tensor.handle, tensor);
}

/** Takes a tensor out of the collector's care, when it is disposed by hand. */
export function disown(tensor: Tensor): void {
  collected.unregister(tensor);
}

/**
 * Runs `fn` and frees every tensor made inside except those in its result (a tensor, or arrays, maps and plain objects
 * of them), which pass to the surrounding tidy. Throws a TypeError if `fn` returns a promise: it must be synchronous.
 */
export function tidy<T>(fn: () => T): T {
  const outer = scope;
  const mine: Scope = { tensors: [], outer };
  const kept = new Set<Tensor>();
  scope = mine;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TypeError(
        "tidy: expected a synchronous function, got one that returns a promise\nAwait outside of tidy.",
      );
    }
    collectTensors(result, kept);
    return result;
  } finally {
    scope = outer;
    for (const tensor of mine.tensors) {
      if (kept.has(tensor)) own(tensor);
      else tensor.dispose();
    }
  }
}

function collectTensors(value: unknown, into: Set<Tensor>): void {
  if (value instanceof Tensor) into.add(value);
  else if (Array.isArray(value)) for (const item of value) collectTensors(item, into);
  else if (value instanceof Map) for (const item of value.values()) collectTensors(item, into);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) collectTensors(item, into);
}

/** Keeps a tensor beyond every tidy around this call, until `dispose()` or its collection: for parameters and state. */
export function keep<T extends Tensor>(tensor: T): T {
  for (let owner = scope; owner; owner = owner.outer) {
    const index = owner.tensors.lastIndexOf(tensor);
    if (index < 0) continue;
    owner.tensors.splice(index, 1);
    collected.register(tensor, tensor.handle, tensor);
    break;
  }
  return tensor;
}

/** Runs `fn` without recording gradients (torch.no_grad). Synchronous, as grad mode belongs to the thread. */
export function noGrad<T>(fn: () => T): T {
  return withGradMode("noGrad", false, fn);
}

/** Runs `fn` recording gradients, also inside `noGrad` (torch.enable_grad). */
export function enableGrad<T>(fn: () => T): T {
  return withGradMode("enableGrad", true, fn);
}

function withGradMode<T>(where: string, enabled: boolean, fn: () => T): T {
  const before = native.isGradEnabled();
  native.setGradEnabled(enabled);
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TypeError(`${where}: expected a synchronous function, got one that returns a promise`);
    }
    return result;
  } finally {
    native.setGradEnabled(before);
  }
}
