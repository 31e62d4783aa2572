// ONNX's ModelProto written by hand: the handful of messages and fields that an exported graph needs, numbered as in
// onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3). Lengths are known before any weight is made, so
// weights are made one at a time, when their turn to be written comes, and a model needs the memory of its largest one.

import { basename } from "node:path";
import { createFileAtomic, writeAll } from "../files/atomic.js";
import {
  type Attribute,
  type Branch,
  type Constant,
  ELEMENT_TYPES,
  type ElementType,
  type Graph,
  type GraphInput,
  type Node,
  OPSET,
} from "./graph.js";

const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, tensor: 4, graph: 5, floats: 6, ints: 7 };
const IR_VERSION = 8; // of ONNX 1.12, which has opset 17
const PROTOBUF_LIMIT = 2 ** 31 - 1;
const PAGE = 4096;
/** Smaller tensors stand in the graph's file even where there is one beside it: shape arithmetic reads them there. */
const SMALLEST_EXTERNAL = 1024;

/** Bytes to write, or a function that makes them. */
type FilePart = Uint8Array | { byteLength: number; data: () => Uint8Array };
type Message = FilePart[];

const lengthOf = (message: Message) => message.reduce((sum, { byteLength }) => sum + byteLength, 0);

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value)); // negative numbers take ten bytes
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return [...bytes, Number(rest)];
}

const tag = (field: number, wireType: 0 | 2 | 5) => varint(field * 8 + wireType);
const int = (field: number, value: number): Message => [Uint8Array.from([...tag(field, 0), ...varint(value)])];
const message = (field: number, parts: Message): Message => [
  Uint8Array.from([...tag(field, 2), ...varint(lengthOf(parts))]),
  ...parts,
];
const text = (field: number, value: string): Message => message(field, [Buffer.from(value)]);
const float = (field: number, value: number): Message => [
  Uint8Array.from([...tag(field, 5), ...new Uint8Array(Float32Array.of(value).buffer)]),
];
const entry = (field: number, key: string, value: string) => message(field, [...text(1, key), ...text(2, value)]);

function tensor({ name, dtype, dims, byteLength, data }: Constant, external?: { file: string; offset: number }) {
  const head = [...dims.flatMap((size) => int(1, size)), ...int(2, ELEMENT_TYPES[dtype]), ...text(8, name)];
  if (!external) return [...head, ...message(9, [{ byteLength, data }])];
  return [
    ...head,
    ...entry(13, "location", external.file),
    ...entry(13, "offset", `${external.offset}`),
    ...entry(13, "length", `${byteLength}`),
    ...int(14, 1),
  ];
}

function attribute(name: string, value: Attribute): Message {
  const head = (type: keyof typeof ATTRIBUTE_TYPES) => [...text(1, name), ...int(20, ATTRIBUTE_TYPES[type])];
  if (typeof value === "string") return [...head("string"), ...text(4, value)];
  if (typeof value === "number") return [...head("int"), ...int(3, value)];
  if (Array.isArray(value)) return [...head("ints"), ...value.flatMap((one) => int(8, one))];
  if ("float" in value) return [...head("float"), ...float(2, value.float)];
  return [...head("graph"), ...message(6, branch(name, value))];
}

function branch(name: string, { nodes, inputs, outputs }: Branch): Message {
  const tensor = (dtype: ElementType) => message(1, int(1, ELEMENT_TYPES[dtype]));
  const scalar = (dtype: ElementType) => message(1, [...int(1, ELEMENT_TYPES[dtype]), ...message(2, [])]);
  const typed = inputs.flatMap(({ name, type }) => {
    const described = typeof type === "string" ? scalar(type) : message(4, message(1, tensor(type.sequenceOf)));
    return message(11, [...text(1, name), ...message(2, described)]);
  });
  return [...nodes.flatMap(node), ...text(2, name), ...typed, ...outputs.flatMap((name) => message(12, text(1, name)))];
}

function node({ op, domain, inputs, outputs, attributes, name }: Node): Message {
  return message(1, [
    ...inputs.flatMap((input) => text(1, input)),
    ...outputs.flatMap((output) => text(2, output)),
    ...text(3, name),
    ...text(4, op),
    ...Object.entries(attributes).flatMap(([name, value]) => message(5, attribute(name, value))),
    ...(domain ? text(7, domain) : []),
  ]);
}

function valueInfo(field: number, { name, dtype, dims }: GraphInput): Message {
  const shape = dims.flatMap((size) => message(1, typeof size === "number" ? int(1, size) : text(2, size)));
  const type = message(1, [...int(1, ELEMENT_TYPES[dtype]), ...message(2, shape)]);
  return message(field, [...text(1, name), ...message(2, type)]);
}

export interface OnnxFileOptions {
  /** Weights in `PATH_data` beside the graph, from where ONNX Runtime maps them; without it only past protobuf's 2 GB. */
  externalData?: boolean;
  producerVersion: string;
  metadata?: Record<string, string>;
  /** False for a file that is soon deleted: its bytes need not reach the disk. */
  sync?: boolean;
}

/**
 * Writes the graph to `path`, and its weights into the same file or the one beside it, whose name is the one that
 * transformers.js looks for. Each file is whole or not there.
 */
export function writeOnnx(path: string, graph: Graph, options: OnnxFileOptions): { external: boolean } {
  const initializers = [...graph.initializers.values()];
  const total = initializers.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const { sync = true } = options;
  const isExternal = options.externalData ?? total > PROTOBUF_LIMIT - 2 ** 24;
  const file = `${basename(path)}_data`;
  const outside: { initializer: Constant; padding: number }[] = [];
  let end = 0;
  const tensors = initializers.flatMap((initializer) => {
    if (!isExternal || initializer.byteLength < SMALLEST_EXTERNAL) return message(5, tensor(initializer));
    const offset = Math.ceil(end / PAGE) * PAGE;
    outside.push({ initializer, padding: offset - end });
    end = offset + initializer.byteLength;
    return message(5, tensor(initializer, { file, offset }));
  });
  if (outside.length > 0) {
    const fill = (fd: number) => {
      for (const { initializer, padding } of outside) {
        writeAll(fd, new Uint8Array(padding));
        writeAll(fd, bytesOf(initializer));
      }
    };
    createFileAtomic(`${path}_data`, fill, { sync });
  }
  const model: Message = [
    ...int(1, IR_VERSION),
    ...text(2, "neobert"),
    ...text(3, options.producerVersion),
    ...message(7, [
      ...graph.nodes.flatMap(node),
      ...text(2, graph.name),
      ...tensors,
      ...graph.inputs.flatMap((input) => valueInfo(11, input)),
      ...graph.outputs.flatMap((output) => valueInfo(12, output)),
    ]),
    ...[...graph.domains()].flatMap((domain) =>
      message(8, [...(domain ? text(1, domain) : []), ...int(2, domain ? 1 : OPSET)]),
    ),
    ...Object.entries(options.metadata ?? {}).flatMap(([key, value]) => entry(14, key, value)),
  ];
  const fill = (fd: number) => {
    for (const part of model) writeAll(fd, part instanceof Uint8Array ? part : bytesOf(part));
  };
  createFileAtomic(path, fill, { sync });
  return { external: outside.length > 0 };
}

function bytesOf({ byteLength, data, name = "" }: { byteLength: number; data: () => Uint8Array; name?: string }) {
  const bytes = data();
  if (bytes.byteLength === byteLength) return bytes;
  throw new Error(`internal: expected ${byteLength} bytes of ${name}, got ${bytes.byteLength}`);
}
