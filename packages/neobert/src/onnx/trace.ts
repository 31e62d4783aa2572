// A model's forward pass traced over ONNX ops: the graph of its hidden states or of its head's logits.

import type { Head, TokenHead } from "../model/architecture.js";
import type { SavedParts } from "../model/model-folder.js";
import { Graph, type Value } from "./graph.js";
import type { WeightBits } from "./int8.js";
import { byText, type PackedGraphBatch, type PaddedBatch, packedInputs, paddedInputs } from "./onnx-batch.js";
import { OnnxOps, type OnnxOpsOptions } from "./onnx-ops.js";

export type Result = "hidden" | "maskedLogits" | "sequenceLogits" | "tokenLogits";

export const resultOf: Record<Head, Result> = {
  none: "hidden",
  maskedLM: "maskedLogits",
  sequenceClassification: "sequenceLogits",
  tokenClassification: "tokenLogits",
  questionAnswering: "tokenLogits",
};

/** The outputs of a model that answers questions. */
export const spanOutputs = ["start_logits", "end_logits"] as const;

type Options = Pick<OnnxOpsOptions, "dtype" | "bits" | "keepFloat">;

/** Whether the graph has an input for segments: where there is more than one of them. */
const hasSegments = ({ architecture }: SavedParts) => architecture.segments() > 1;

/** The form that every consumer expects: input_ids and attention_mask [B, S] to last_hidden_state or logits. */
export function tracePadded(source: SavedParts, options: Options): Graph {
  const graph = new Graph(source.architecture.classNames[source.head]);
  const ops = new OnnxOps(graph, { ...options, contrib: false });
  const batch = paddedInputs(graph, { segments: hasSegments(source) });
  const result = resultOf[source.head];
  const value = graph.cast(trace(source, ops, batch, result), "float32");
  const name = result === "hidden" ? "last_hidden_state" : "logits";
  if (source.head === "questionAnswering") outputSpans(graph, byText(graph, batch, value));
  else if (result === "sequenceLogits") graph.output(name, value, ["batch_size", value.dims[1]!]);
  else graph.output(name, byText(graph, batch, value));
  graph.prune();
  return graph;
}

/** Start and end as outputs of their own [B, S], as Optimum names them. */
function outputSpans(graph: Graph, logits: Value): void {
  for (const [i, name] of spanOutputs.entries()) {
    const one = graph.node("Gather", [logits, graph.int(i)], logits.dims.slice(0, 2), { attributes: { axis: 2 } });
    graph.output(name, one);
  }
}

/** The form of our own session; `rows` [M] of the packed tokens are those of which masked logits are asked. */
export function tracePacked(source: SavedParts, result: Result, options: Options): Graph {
  const graph = new Graph(source.architecture.classNames[source.head]);
  const ops = new OnnxOps(graph, { ...options, contrib: true });
  const batch = packedInputs(graph, { segments: hasSegments(source) });
  const rows = result === "maskedLogits" ? graph.input("rows", "int32", ["M"]) : undefined;
  graph.output("result", graph.cast(trace(source, ops, batch, result, rows), "float32"));
  graph.prune();
  return graph;
}

/**
 * The float32 model in our session's form with an output `error_I` for each linear layer that int8 would quantize: how far
 * its results would be from these, as the ratio of the root mean squares.
 */
export function traceErrors(source: SavedParts, bits: WeightBits): { graph: Graph; names: string[] } {
  const graph = new Graph("errors");
  const names: string[] = [];
  const measure = (name: string, error: Value) => {
    if (names.includes(name)) return;
    graph.output(`error_${names.length}`, error);
    names.push(name);
  };
  const ops = new OnnxOps(graph, { dtype: "fp32", contrib: false, bits, measure });
  trace(source, ops, packedInputs(graph, { segments: hasSegments(source) }), resultOf[source.head]);
  graph.prune();
  return { graph, names };
}

function trace(
  { architecture, head, values }: SavedParts,
  ops: OnnxOps,
  batch: PaddedBatch | PackedGraphBatch,
  result: Result,
  rows?: Value,
): Value {
  const weights = new Map(
    architecture
      .parameters(head)
      .map(({ name, shape }): [string, Value] => [
        name,
        { name, dtype: "float32", dims: shape, weight: () => values(name) },
      ]),
  );
  const weight = (name: string): Value => {
    const found = weights.get(name);
    if (!found) throw new Error(`internal: no parameter ${name} in ${architecture.classNames[head]}`);
    return found;
  };
  if (result === "sequenceLogits") return architecture.sequenceLogits(ops, weight, batch);
  const hidden = architecture.forward(ops, weight, batch, rows ? { rows } : {});
  if (result === "maskedLogits") return architecture.maskedLogits(ops, weight, hidden);
  if (result === "hidden") return hidden;
  return architecture.tokenLogits(ops, weight, hidden, head as TokenHead);
}
