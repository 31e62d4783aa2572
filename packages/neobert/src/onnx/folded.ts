// Arithmetic on weights alone, done when the graph is written: its result is a weight too, stored in whatever type its reader
// wants.

import type { Value } from "./graph.js";

interface Weight {
  readonly name: string;
  readonly dims: readonly number[];
  readonly weight: () => Float32Array;
}

export const isWeight = (x: Value): x is Value & Weight => x.weight !== undefined;

/** x times a number, or times a weight of the same or broadcastable shape. */
export function foldedProduct(x: Weight, factor: Weight | number): Value {
  if (typeof factor === "number") {
    return weightOf(`${x.name} x ${factor}`, x.dims, () => x.weight().map((value) => value * factor));
  }
  const dims = x.dims.length >= factor.dims.length ? x.dims : factor.dims;
  return weightOf(`${x.name} x ${factor.name}`, dims, () => {
    const [a, b] = [placesOf(x.dims, dims), placesOf(factor.dims, dims)];
    const [left, right] = [x.weight(), factor.weight()];
    return Float32Array.from(a, (at, i) => left[at]! * right[b[i]!]!);
  });
}

/** The same values in another shape. */
export function foldedReshape(x: Weight, dims: readonly number[]): Value {
  return weightOf(`${x.name} [${dims}]`, dims, x.weight);
}

function weightOf(name: string, dims: readonly number[], weight: () => Float32Array): Value {
  return { name, dtype: "float32", dims, weight };
}

/** Where each value of an array of shape `to` stands in one of shape `from` that is broadcast to it. */
function placesOf(from: readonly number[], to: readonly number[]): Int32Array {
  const sizes = [...Array<number>(to.length - from.length).fill(1), ...from];
  let places = Int32Array.of(0);
  for (const [dim, size] of to.entries()) {
    const step = sizes[dim] === 1 ? 0 : 1;
    const width = sizes[dim]!;
    const next = new Int32Array(places.length * size);
    for (let i = 0; i < next.length; i++) next[i] = places[Math.floor(i / size)]! * width + step * (i % size);
    places = next;
  }
  return places;
}
