// Arguments for the addon's functions, drawn by fast-check from the types in native.ts: mostly such as fit each other, so that
// kernels are reached, in half of the calls some that do not. A tensor is drawn as a description that `materialize` makes one of,
// so that a call can be printed, and made again alone.

import fc from "fast-check";

const DTYPES = ["float32", "float64", "bfloat16", "int64", "int32", "uint8", "bool"];
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

const EDGES = [0, -0, 0.5, -1, 623, 624, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 62, 2 ** 63, -(2 ** 31), -(2 ** 63), 1e300, -1e300, 5e-324, NaN, Infinity, -Infinity]; // biome-ignore format: a list
const ODD = [undefined, null, "", "x", true, 1n, {}, [], ...["symbol", "function", "thrower", "disposed", "generator", "proxy", "array", "detached", "state"].map((odd) => ({ odd }))]; // biome-ignore format: a list

// Shapes that fit each other, by function and parameter, in letters that have one value a call; "Q" is (H + 2K) D, "R" D / 2.
const SHAPES = {
  borrow: { array: "N C", shape: "N C" },
  copyTo: { x: "N C", array: "N C" },
  matmul: { a: "N C", b: "C V" },
  matmulOut: { a: "N C", b: "C V", out: "N V" },
  linear: { x: "N C", weight: "V C", bias: "V" },
  embedding: { weight: "V C", indices: "N H" },
  linalgEigh: { x: "C C" },
  linalgQr: { x: "N C" },
  layerNorm: { x: "N C", shape: "C", weight: "C", bias: "C" },
  rmsNorm: { x: "N C", shape: "C", weight: "C" },
  crossEntropy: { x: "N V", target: "N" },
  scaledDotProductAttention: { q: "B H N D", k: "B H T D", v: "B H T C", mask: "N T" },
  fusedNorm: { x: "N C", weight: "C", bias: "C" },
  fusedAddNorm: { x: "N C", y: "N C", weight: "C", bias: "C" },
  fusedGatedUnit: { x: "N 2I" },
  fusedGatedLinear: { x: "N 2I", unit: "N I", weight: "V I" },
  fusedSplitQkv: { qkv: "N Q", cos: "N R", sin: "N R" },
  fusedRotary: { x: "N H D", cos: "N R", sin: "N R" },
  fusedLinearCrossEntropy: { x: "N C", weight: "V C", bias: "V", labels: "N" },
  chunkedLinearCrossEntropy: { x: "N C", weight: "V C", bias: "V", labels: "N" },
  deviceGatedUnit: { x: "N 2I" },
  deviceAttention: { q: "N H D", k: "N K D", v: "N K D" },
  segmentMean: { x: "N C" },
  turnPairs: { x: "N H D", cos: "N R", sin: "N R" },
  packedAttention: { q: "N H D", k: "N K D", v: "N K D" },
  checkPackedAttention: { q: "N H D", k: "N K D", v: "N K D" },
  indexSelect: { x: "N C", index: "T" },
  gather: { x: "N C", index: "N C" },
  indexAdd_: { x: "N C", index: "N", source: "N C" },
  indexCopy_: { x: "N C", index: "N", source: "N C" },
  setGeneratorState: { state: "G" },
  backward: { x: "", gradient: "" },
  gradients: { outputs: "", gradOutputs: "" },
};
const DTYPE_OF = { index: "int64", indices: "int64", target: "int64", labels: "int64", mask: "bool", condition: "bool", cos: "float32", sin: "float32", steps: "float32", copies: "bfloat16", state: "uint8" }; // biome-ignore format: a list
const SCALARS = new Set(["steps"]);

/** One call's arguments for `{ name, parameters: [{ name, type }] }`. */
export function argumentsOf({ name, parameters }) {
  return fc.gen().map((g) => {
    const one = (...values) => values[g(fc.nat, values.length - 1)];
    const chance = (percent) => g(fc.nat, 999) < percent * 10;
    const strangeness = one(0, 0, 0.3, 1);
    const strange = (percent) => chance(percent * strangeness);
    const dims = { N: one(1, 2, 3, 5, 17, 0), C: one(4, 1, 2, 8, 16, 19, 0), B: one(1, 2, 0), T: one(3, 1, 4, 0), V: one(5, 1, 3, 32, 0), I: one(4, 1, 7, 16, 0), H: one(2, 1, 4, 3, 0), K: one(1, 2, 4, 0), D: one(4, 2, 8, 16, 3, 0), G: one(5056, 24, 16, 0) }; // biome-ignore format: a list
    const size = (term) => {
      const { H, K, D, I } = dims;
      return { Q: (H + 2 * K) * D, R: Math.floor(D / 2), "2I": 2 * I }[term] ?? dims[term];
    };
    const shapeFrom = (terms) => terms.split(" ").filter(Boolean).map(size);
    const anyShape = () => shapeFrom(one("", "N", "C", "N C", "N C", "C N", "N H D", "B H N D", "V"));
    const usual = { dtype: one("float32", "float32", "bfloat16", ...DTYPES), shape: anyShape() };
    const number = () => {
      if (strange(40)) return chance(85) ? one(...EDGES) : one(...ODD);
      return chance(80) ? one(0, 1, 1, 2, -1, 3, -2) : one(0.5, 0.1, 0.9, 1e-5);
    };
    const tensor = (parameter) => {
      if (strange(5)) return one(...ODD, ...EDGES);
      if (chance(parameter === "inputs" ? 50 : 4)) return { alias: g(fc.nat, 3) };
      if (parameter === "state" && !strange(50)) return { odd: "state" };
      const hint = SCALARS.has(parameter) ? "" : SHAPES[name]?.[parameter];
      const dtype = strange(15) ? one(...DTYPES) : (DTYPE_OF[parameter] ?? usual.dtype);
      const shape = strange(15) ? anyShape() : hint === undefined ? usual.shape : shapeFrom(hint);
      const layout = strange(40) ? one("turned", "turned", "spread", "cut", "cut", "vast") : "dense";
      return {
        tensor: dtype,
        shape,
        layout,
        values:
          DTYPE_OF[parameter] === "int64"
            ? one("zero", "zero", "small", "wild")
            : one("small", "small", "signed", "wild"),
        grad: chance(40),
      };
    };
    const drawn = ({ name: parameter, type: whole }) => {
      const type = whole.replace(/^Optional<(.*)>$/, "$1");
      if (type !== whole && chance(40)) return undefined;
      if (type === "Handle")
        return parameter === "generator" && !strange(40) ? { odd: "generator" } : tensor(parameter);
      if (/^(Optional<)?Handle>?\[\]$/.test(type)) {
        if (strange(5)) return one(...ODD, ...EDGES);
        return Array.from({ length: strange(10) ? one(0, 1, 3) : 2 }, () =>
          type !== "Handle[]" && chance(30) ? undefined : tensor(parameter),
        );
      }
      if (type === "number[]") {
        if (strange(10)) return one(...ODD, ...EDGES);
        if (parameter === "cuSeqlens" && !strange(30)) return [0, ...(chance(50) ? [one(0, 1, 2)] : []), dims.N];
        const hint = SHAPES[name]?.[parameter];
        if (hint !== undefined && !strange(30)) return shapeFrom(hint);
        if (chance(40))
          return usual.shape.length > 0 && chance(50) ? usual.shape.map((_, i) => i).reverse() : usual.shape;
        return Array.from({ length: one(0, 1, 2, 3) }, number);
      }
      if (type === "number") {
        if (parameter === "dim" && !strange(40)) return one(0, 0, -1, 1);
        if (parameter === "heads" && !strange(20)) return dims.H;
        if (parameter === "kvHeads" && !strange(20)) return dims.K;
        return number();
      }
      if (type === "TypedArray") {
        if (strange(20)) return one(...ODD);
        return { array: !strange(20) ? usual.dtype : one(...DTYPES), length: shapeFrom(SHAPES[name]?.[parameter] ?? "N").reduce((a, b) => a * b, 1) }; // biome-ignore format: one thing
      }
      if (strange(10)) return one(...ODD, ...EDGES);
      if (type === "boolean") return chance(50);
      if (type === "DType") return chance(70) ? usual.dtype : one(...DTYPES, ...DTYPES, "float16", "complex64");
      if (type === "Device")
        return !strange(30) ? "cpu" : one("cuda", "cuda:0", "cuda:99", "meta", "cpu:1", "mps", "xla", "cuda:-1");
      if (type === "Reduction") return one("none", "mean", "sum");
      const literals = [...type.matchAll(/"([^"]*)"/g)].map(([, text]) => text);
      return one(...literals, "portable", "avx2", "none", "toString");
    };
    const all = parameters.map(drawn);
    return strange(5) ? all.slice(0, -1) : all;
  });
}

const MARGIN = 64; // bytes on both sides of each array's values, which no call may change
const SIGN = 0xa5;

/** Makes an argument of its description with the functions of `native`; what must be freed or looked at later goes to `made`. */
export function materialize(native, description, made) {
  if (Array.isArray(description)) return description.map((one) => materialize(native, one, made));
  if (description === null || typeof description !== "object") return description;
  if ("odd" in description) return oddOf(native, description.odd, made);
  if ("array" in description) return arrayOf(description.array, description.length, made);
  if ("alias" in description) return made.tensors[description.alias];
  if ("tensor" in description) return tensorOf(native, description, made);
  return description;
}

function oddOf(native, odd, made) {
  if (odd === "symbol") return Symbol("odd");
  if (odd === "function") return () => 1;
  if (odd === "thrower") return { valueOf: fail, toString: fail };
  if (odd === "array") return new Float32Array(4);
  if (odd === "proxy") return new Proxy([1, 2], { get: (target, key) => (key === "0" ? fail() : target[key]) });
  if (odd === "detached") {
    const array = new Float32Array(4);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    return array;
  }
  if (odd === "generator") {
    const generator = native.makeGenerator(1, "cpu");
    made.generators.push(generator);
    return generator;
  }
  if (odd === "state") {
    const state = native.generatorState(oddOf(native, "generator", made));
    made.tensors.push(state);
    return state;
  }
  const gone = native.empty([2], "float32", "cpu");
  native.dispose(gone);
  return gone;
}

function fail() {
  throw new RangeError("thrown by the argument");
}

function arrayOf(dtype, length, made) {
  const { BYTES_PER_ELEMENT } = ARRAYS[dtype];
  const bytes = new Uint8Array(length * BYTES_PER_ELEMENT + 2 * MARGIN).fill(SIGN);
  made.bytes.push(bytes);
  const array = new ARRAYS[dtype](bytes.buffer, MARGIN, length);
  return array.fill(dtype === "int64" ? 0n : 0);
}

function tensorOf(native, { tensor: dtype, shape, layout, values, grad }, made) {
  const keep = (handle) => {
    made.tensors.push(handle);
    return handle;
  };
  const dense = (sizes) => {
    const array = arrayOf(dtype, sizes.reduce((a, b) => a * b, 1), made); // biome-ignore format: one thing
    const wild = dtype === "int64" ? [-1n, 2n ** 62n, -100n, 2n ** 31n] : [-1, NaN, Infinity, 1e30];
    for (let i = 0; i < array.length; i++) {
      const whole = ((i * 7) % 5) - (values === "signed" ? 2 : 0);
      if (values === "zero") continue;
      if (values === "wild" && i % 3 === 0) array[i] = wild[i % wild.length];
      else if (dtype === "bool") array[i] = i & 1;
      else array[i] = dtype === "int64" ? BigInt(whole) : dtype === "bfloat16" ? bfloat16Bits(whole) : whole;
    }
    return keep(native.borrow(array, sizes, dtype));
  };
  let handle;
  if (layout === "turned") handle = keep(native.permute(dense([...shape].reverse()), shape.map((_, i) => i).reverse()));
  else if (layout === "spread") handle = keep(native.expand(dense(shape.map(() => 1)), shape));
  else if (layout === "vast")
    handle = keep(native.expand(dense(shape.map(() => 1)), shape.map((size, i) => (i === 0 ? 2 ** 23 : size)))); // biome-ignore format: one thing
  else if (layout === "cut") {
    handle = dense(shape.map((size) => size + 2));
    shape.forEach((size, dim) => {
      handle = keep(native.narrow(handle, dim, 1, size));
    });
  } else handle = dense(shape);
  if (grad && /float/.test(dtype)) native.requiresGrad_(handle, true);
  return handle;
}

function bfloat16Bits(value) {
  return new Uint32Array(new Float32Array([value]).buffer)[0] >>> 16;
}

/** Frees what was made; says what happened to the margins of the arrays. */
export function release(native, made) {
  for (const tensor of made.tensors) native.dispose(tensor);
  for (const generator of made.generators) native.disposeGenerator(generator);
  const isWhole = (bytes) =>
    bytes.length === 0 ||
    [bytes.subarray(0, MARGIN), bytes.subarray(-MARGIN)].every((margin) => margin.every((byte) => byte === SIGN));
  return made.bytes.every(isWhole);
}
