// Lifetime of tensors and grad mode, both as closures. Garbage collection does not keep up with a synchronous loop, so
// `tidy` frees what was made inside it; a tensor made outside every tidy lives until `dispose()` or its collection.
// A tensor is here what announces itself by `own`, so that this file needs no class.

import { type Handle, native } from "./native.js";

interface Owned {
  readonly handle: Handle;
  dispose(): void;
}

interface Scope {
  readonly tensors: Set<Owned>;
  readonly outer: Scope | undefined;
}
let scope: Scope | undefined;

const collected = new FinalizationRegistry<number>((handle) => native.dispose(handle));

/** Called by the Tensor constructor: the innermost tidy owns it, or the garbage collector. */
export function own(tensor: Owned): void {
  if (scope) scope.tensors.add(tensor);
  else collected.register(tensor, tensor.handle, tensor);
}

/** Takes a tensor out of the collector's care, when it is disposed by hand. */
export function disown(tensor: Owned): void {
  collected.unregister(tensor);
}

/**
 * Runs `fn` and frees every tensor made inside except those in its result (a tensor, or arrays, maps and plain objects
 * of them), which pass to the surrounding tidy. Throws a TypeError if `fn` returns a promise: it must be synchronous.
 */
export function tidy<T>(fn: () => T): T {
  const outer = scope;
  const mine: Scope = { tensors: new Set(), outer };
  const kept = new Set<Owned>();
  scope = mine;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TypeError(
        "tidy: expected a synchronous function, got one that returns a promise\nAwait outside of tidy.",
      );
    }
    moveOwned(result, mine.tensors, kept);
    return result;
  } finally {
    scope = outer;
    for (const tensor of kept) own(tensor);
    for (const tensor of mine.tensors) tensor.dispose();
  }
}

function moveOwned(value: unknown, from: Set<Owned>, to: Set<Owned>): void {
  if (value === null || typeof value !== "object") return;
  if (from.delete(value as Owned)) to.add(value as Owned);
  else if (Array.isArray(value) || value instanceof Map) for (const item of value.values()) moveOwned(item, from, to);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) moveOwned(item, from, to);
}

/** A tidy in several parts, between which others may run: `run` as often as wanted, `dispose` frees what was made in it. */
export class TidyScope {
  readonly #scope: { tensors: Set<Owned>; outer: Scope | undefined } = { tensors: new Set(), outer: undefined };

  /** Runs `fn`, whose tensors then live until `dispose`. */
  run<T>(fn: () => T): T {
    const outer = scope;
    this.#scope.outer = outer;
    scope = this.#scope;
    try {
      return fn();
    } finally {
      scope = outer;
      this.#scope.outer = undefined;
    }
  }

  dispose(): void {
    for (const tensor of this.#scope.tensors) tensor.dispose();
    this.#scope.tensors.clear();
  }
}

/** Keeps a tensor beyond every tidy around this call, until `dispose()` or its collection: for parameters and state. */
export function keep<T extends Owned>(tensor: T): T {
  for (let owner = scope; owner; owner = owner.outer) {
    if (!owner.tensors.delete(tensor)) continue;
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
