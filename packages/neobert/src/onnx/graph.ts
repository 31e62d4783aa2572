// A graph of ONNX nodes while it is built. The same node asked for twice is made once, so that code which traces a model
// may be plain; what no output needs is left out at the end. Shapes carry names where sizes are known only at run time.

export type ElementType = "float32" | "float16" | "uint8" | "int8" | "int32" | "int64" | "bool";

/** Their numbers in ONNX's TensorProto. */
export const ELEMENT_TYPES: Record<ElementType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

/** LayerNormalization came with 17, and every ONNX Runtime since 1.13 has it. */
export const OPSET = 17;
/** The domain of ONNX Runtime's own operators. */
export const MICROSOFT = "com.microsoft";

export type Dim = number | string;

/** A value of the graph, or a weight that becomes part of it where a node uses it. */
export interface Value {
  readonly name: string;
  readonly dtype: ElementType;
  readonly dims: readonly Dim[];
  /** Set for weights: their float32 values. */
  readonly weight?: () => Float32Array;
  /** Set where a linear layer made this value, for what can take that layer apart. */
  readonly linear?: { x: Value; weight: Value; bias: Value | undefined };
}

/** The graph that an If or a Loop holds. It may use all values outside of it. */
export interface Branch {
  nodes: Node[];
  inputs: { name: string; type: ElementType | { sequenceOf: ElementType } }[];
  outputs: string[];
}
/** Numbers are whole; `{ float }` are not. */
export type Attribute = number | number[] | string | { float: number } | Branch;

export interface Node {
  op: string;
  domain: string;
  name: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

export interface Constant {
  name: string;
  dtype: ElementType;
  dims: readonly number[];
  byteLength: number;
  data: () => Uint8Array;
}

export interface GraphInput {
  name: string;
  dtype: ElementType;
  dims: readonly Dim[];
}

export interface NodeOptions {
  domain?: string;
  attributes?: Record<string, Attribute>;
  dtype?: ElementType;
}

type Data = Float32Array | Uint16Array | Int8Array | Uint8Array | Int32Array | BigInt64Array;
const BYTES: Record<ElementType, number> = { float32: 4, float16: 2, uint8: 1, int8: 1, int32: 4, int64: 8, bool: 1 };

export class Graph {
  readonly name: string;
  nodes: Node[] = [];
  readonly inputs: GraphInput[] = [];
  readonly outputs: GraphInput[] = [];
  readonly initializers = new Map<string, Constant>();
  #made = new Map<string, Value[]>();
  #count = 0;

  constructor(name: string) {
    this.name = name;
  }

  input(name: string, dtype: ElementType, dims: Dim[]): Value {
    this.inputs.push({ name, dtype, dims });
    return { name, dtype, dims };
  }

  /** Names a value as a result of the whole graph. */
  output(name: string, value: Value, dims: readonly Dim[] = value.dims): void {
    this.nodes.push({ op: "Identity", domain: "", name, inputs: [this.#use(value)], outputs: [name], attributes: {} });
    this.outputs.push({ name, dtype: value.dtype, dims });
  }

  /** A constant, written when its turn comes; one name is one constant. */
  constant(name: string, dtype: ElementType, dims: readonly number[], data: () => Data): Value {
    const byteLength = BYTES[dtype] * dims.reduce((product, size) => product * size, 1);
    if (!this.initializers.has(name)) {
      const bytes = () => {
        const { buffer, byteOffset, byteLength } = data();
        return new Uint8Array(buffer, byteOffset, byteLength);
      };
      this.initializers.set(name, { name, dtype, dims, byteLength, data: bytes });
    }
    return { name, dtype, dims };
  }

  ints(values: number[]): Value {
    const name = `ints_${values.join("_").replaceAll("-", "m")}`;
    return this.constant(name, "int64", [values.length], () => BigInt64Array.from(values, BigInt));
  }

  int(value: number): Value {
    return this.constant(`int_${`${value}`.replace("-", "m")}`, "int64", [], () => BigInt64Array.of(BigInt(value)));
  }

  float(value: number): Value {
    return this.constant(`float_${value}`, "float32", [], () => Float32Array.of(value));
  }

  /** Adds a node with one result of these dims, of the first input's dtype unless told otherwise. */
  node(op: string, inputs: (Value | undefined)[], dims: readonly Dim[], options: NodeOptions = {}): Value {
    return this.nodeOf(op, inputs, [dims], options)[0]!;
  }

  /** Adds a node with several results. */
  nodeOf(
    op: string,
    inputs: (Value | undefined)[],
    results: (readonly Dim[])[],
    { domain = "", attributes = {}, dtype = inputs[0]!.dtype }: NodeOptions = {},
  ): Value[] {
    const given = inputs.slice(0, inputs.findLastIndex((input) => input) + 1);
    const names = given.map((input) => (input ? this.#use(input) : ""));
    const key = JSON.stringify([domain, op, names, attributes, dtype]);
    const known = this.#made.get(key);
    if (known) return known;
    const name = `${op}_${this.#count++}`;
    const outputs = results.map((_, i) => (i === 0 ? name : `${name}_${i}`));
    this.nodes.push({ op, domain, name, inputs: names, outputs, attributes });
    const values = outputs.map((name, i) => ({ name, dtype, dims: results[i]! }));
    this.#made.set(key, values);
    return values;
  }

  cast(x: Value, dtype: ElementType): Value {
    if (x.dtype === dtype) return x;
    return this.node("Cast", [x], x.dims, { attributes: { to: ELEMENT_TYPES[dtype] }, dtype });
  }

  /** The value of `then` where `condition` holds at run time, else that of `otherwise`; only one of them is computed. */
  either(condition: Value, then: () => Value, otherwise: () => Value): Value {
    const [then_branch, { dtype, dims }] = this.#branch(then);
    const [else_branch] = this.#branch(otherwise);
    return this.#holder("If", [condition.name], { then_branch, else_branch }, { dtype, dims });
  }

  /** The rows that `body` makes for 0 .. `count` - 1, one after another: [`rows`, ..]. */
  concatenated(count: Value, rows: Dim, body: (index: Value) => Value): Value {
    const index: Value = { name: `index_${this.#count++}`, dtype: "int64", dims: [] };
    const [goesOn, parts] = [`goes_on_${this.#count++}`, `parts_${this.#count++}`];
    const [inside, { name, dtype, dims }] = this.#branch(() => body(index));
    const [still, grown] = [`${goesOn}_out`, `${parts}_out`];
    const node = (op: string, inputs: string[], output: string) =>
      inside.nodes.push({ op, domain: "", name: output, inputs, outputs: [output], attributes: {} });
    node("Identity", [goesOn], still);
    node("SequenceInsert", [parts, name], grown);
    inside.inputs = [
      { name: index.name, type: "int64" },
      { name: goesOn, type: "bool" },
      { name: parts, type: { sequenceOf: dtype } },
    ];
    inside.outputs = [still, grown];
    const none = this.node("SequenceEmpty", [], [], { dtype, attributes: { dtype: ELEMENT_TYPES[dtype] } });
    const value = { dtype, dims: [rows, ...dims.slice(1)] };
    const all = this.#holder("Loop", [count.name, "", none.name], { body: inside }, value);
    return this.node("ConcatFromSequence", [all], value.dims, { attributes: { axis: 0 } });
  }

  #branch(build: () => Value): [Branch, Value] {
    const { nodes, made } = { nodes: this.nodes, made: this.#made };
    this.nodes = [];
    this.#made = new Map(made); // what is made inside is not known outside
    const value = build();
    const branch = { nodes: this.nodes, inputs: [], outputs: [value.name] };
    this.nodes = nodes;
    this.#made = made;
    return [branch, value];
  }

  #holder(op: string, inputs: string[], attributes: Record<string, Branch>, value: Omit<Value, "name">): Value {
    const name = `${op}_${this.#count++}`;
    this.nodes.push({ op, domain: "", name, inputs, outputs: [name], attributes });
    return { name, ...value };
  }

  /** Leaves out the nodes and constants that no output needs. Call it when all outputs are named. */
  prune(): void {
    const needed = new Set(this.outputs.map(({ name }) => name));
    const keep = (nodes: Node[]): Node[] =>
      nodes
        .toReversed()
        .filter(({ outputs, inputs, attributes }) => {
          if (!outputs.some((name) => needed.has(name))) return false;
          for (const name of inputs) needed.add(name);
          for (const branch of branchesOf(attributes)) {
            for (const name of branch.outputs) needed.add(name);
            branch.nodes = keep(branch.nodes);
          }
          return true;
        })
        .reverse();
    this.nodes = keep(this.nodes);
    for (const name of this.initializers.keys()) if (!needed.has(name)) this.initializers.delete(name);
  }

  /** The operator domains in use. */
  domains(nodes = this.nodes, found = new Set([""])): Set<string> {
    for (const { domain, attributes } of nodes) {
      found.add(domain);
      for (const branch of branchesOf(attributes)) this.domains(branch.nodes, found);
    }
    return found;
  }

  #use({ name, dims, weight }: Value): string {
    if (weight) this.constant(name, "float32", dims as number[], weight);
    return name;
  }
}

function branchesOf(attributes: Record<string, Attribute>): Branch[] {
  return Object.values(attributes).filter((value): value is Branch => typeof value === "object" && "nodes" in value);
}
