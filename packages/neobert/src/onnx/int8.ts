// int8 linear layers and tables. Activations get one scale a token, so that a text's vector does not depend on its
// batch: uint8 around the zero point 128, whose products with int8 are the fast ones. Weights are int8 with one scale
// an output channel, symmetric.

import { existsSync, readFileSync } from "node:fs";
import { type Graph, MICROSOFT, type Value } from "./graph.js";

// Before VNNI sums of two uint8 x int8 products saturate at 16 bits; weights of 7 bits cannot reach that.
export type WeightBits = 7 | 8;

/** The bits of weights that this processor multiplies without saturating: 8, or 7 on x86 that is not known to have VNNI. */
export function weightBits(): WeightBits {
  if (process.arch !== "x64") return 8;
  const cpuInfo = "/proc/cpuinfo";
  return existsSync(cpuInfo) && /\bavx(512)?_vnni\b/.test(readFileSync(cpuInfo, "utf8")) ? 8 : 7;
}

/** x [N, I] times the transpose of `weight` [O, I] in int8, plus `bias`: [N, O], float32. */
export function quantizedLinear(
  graph: Graph,
  x: Value,
  weight: Value,
  bias: Value | undefined,
  { contrib, bits = 8 }: { contrib: boolean; bits?: WeightBits },
): Value {
  const [O, I] = weight.dims as [number, number];
  const [N] = x.dims;
  const largest = graph.node("ReduceMax", [graph.node("Abs", [x], x.dims)], [N!], {
    attributes: { axes: [-1], keepdims: 0 },
  });
  // The floor keeps a row of zeros from dividing by zero.
  const safe = graph.node("Max", [largest, graph.float(1e-30)], [N!]);
  const scale = graph.node("Mul", [safe, graph.float(Math.fround(1 / 127))], [N!]);
  const zero = graph.constant("uint8_128", "uint8", [], () => Uint8Array.of(128));
  const zeros = graph.node("Expand", [zero, graph.node("Shape", [scale], [1], { dtype: "int64" })], [N!]);
  const quantized = graph.node("QuantizeLinear", [x, scale, zeros], x.dims, {
    dtype: "uint8",
    attributes: { axis: 0 },
  });
  const column = graph.node("Unsqueeze", [scale, graph.ints([1])], [N!, 1]);

  const values = onceInMemory(() => quantizeRows(weight.weight!(), O, I, bits));
  const turned = graph.constant(`${weight.name}.int8`, "int8", [I, O], () => transpose(values().quantized, O, I));
  const scales = graph.constant(`${weight.name}.scale`, "float32", [O], () => values().scales);
  let product: Value;
  if (contrib) {
    const one = graph.constant("float_one", "float32", [1], () => Float32Array.of(1));
    product = graph.node("MatMulIntegerToFloat", [quantized, turned, one, scales, zero], [N!, O], {
      domain: MICROSOFT,
      dtype: "float32",
    });
  } else {
    const whole = graph.node("MatMulInteger", [quantized, turned, zero], [N!, O], { dtype: "int32" });
    product = graph.node("Mul", [graph.cast(whole, "float32"), scales], [N!, O]);
  }
  const scaled = graph.node("Mul", [product, column], [N!, O]);
  return bias ? graph.node("Add", [scaled, bias], [N!, O]) : scaled;
}

/** Rows of a table [V, C] that is stored in int8 with one scale a row. */
export function quantizedEmbedding(graph: Graph, weight: Value, indices: Value): Value {
  const [V, C] = weight.dims as [number, number];
  const values = onceInMemory(() => quantizeRows(weight.weight!(), V, C, 8));
  const table = graph.constant(`${weight.name}.table8`, "int8", [V, C], () => values().quantized);
  const scales = graph.constant(`${weight.name}.rowscale`, "float32", [V, 1], () => values().scales);
  const rows = graph.node("Gather", [table, indices], [...indices.dims, C]);
  const scale = graph.node("Gather", [scales, indices], [...indices.dims, 1]);
  return graph.node("Mul", [graph.cast(rows, "float32"), scale], [...indices.dims, C]);
}

interface QuantizedRows {
  quantized: Int8Array;
  scales: Float32Array;
}

/** Rows of [rows, columns] as whole numbers up to 127 (63 in 7 bits), and what each row has to be multiplied with. */
export function quantizeRows(values: Float32Array, rows: number, columns: number, bits: WeightBits): QuantizedRows {
  const limit = 2 ** (bits - 1) - 1;
  const quantized = new Int8Array(values.length);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const [start, end] = [row * columns, (row + 1) * columns];
    let [low, high] = [0, 0];
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      if (value > high) high = value;
      else if (value < low) low = value;
      else if (Number.isNaN(value)) high = value; // and so is the row's scale
    }
    const largest = Math.max(high, -low);
    if (largest === 0) continue;
    scales[row] = largest / limit;
    const factor = limit / largest;
    for (let i = start; i < end; i++) quantized[i] = Math.floor(values[i]! * factor + 0.5); // faster than Math.round
  }
  return { quantized, scales };
}

const TILE = 64;

/** [rows, columns] -> [columns, rows], in tiles that the first cache holds. */
function transpose(values: Int8Array, rows: number, columns: number): Int8Array {
  const turned = new Int8Array(values.length);
  for (let top = 0; top < rows; top += TILE) {
    for (let left = 0; left < columns; left += TILE) {
      const [bottom, right] = [Math.min(top + TILE, rows), Math.min(left + TILE, columns)];
      for (let column = left; column < right; column++) {
        for (let row = top; row < bottom; row++) turned[column * rows + row] = values[row * columns + column]!;
      }
    }
  }
  return turned;
}

/** `make` called once for the two results that are written at different times; the second one frees them. */
function onceInMemory<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    const value = made ?? make();
    made = made === undefined ? value : undefined;
    return value;
  };
}
