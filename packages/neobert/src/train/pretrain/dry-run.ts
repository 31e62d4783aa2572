// `neobert pretrain --dry-run`: what a run would train and need, without libtorch and without a step.

import { soapStateSize } from "@neobert/torch/soap-cost";
import { modelFolder } from "../../files/run-folder.js";
import { resolveModel } from "../../hub/resolve.js";
import {
  architectureOf,
  countValues,
  type ModelArchitecture,
  type ParameterSpec,
  readArchitecture,
} from "../../model/index.js";
import { loadTokenizer } from "../../tokenizer/index.js";
import type { Parameter } from "../world/buckets.js";
import { memoryCost, PROCESSOR_SECONDS_PER_BYTE, stepCost } from "../world/cost.js";
import type { RunConfig } from "./pretrain-config.js";
import { freshModelConfig, tokenizerFolder } from "./run-model.js";

const GIB = 2 ** 30;
const count = (value: number) => value.toLocaleString("en-US");
const gib = (bytes: number) => `${(bytes / GIB).toFixed(bytes < 10 * GIB ? 2 : 1)} GiB`;

/** Lines for a person: the model, its parameters, memory by what it is for, micro-batches and tokens of a step. */
export async function describeRun(config: RunConfig): Promise<string> {
  const { tokensPerStep, microBatchTokens, steps, maxLength, activationCheckpointing } = config;
  const model = await architectureOfRun(config);
  const specs = model.parameters("maskedLM");
  const isBf16 = config.dtype === "bf16";
  const matrices = countValues(specs.filter(({ role }) => role === "matrix"));
  const fixed = 8 * countValues(specs) + optimizerBytes(specs, config) + (isBf16 ? 4 * matrices : 0);
  const activations = activationBytes(model, microBatchTokens, config);
  const { num_hidden_layers: L, hidden_size: C, num_attention_heads: H, vocab_size } = model.config;
  return [
    `model            ${L} layers x ${C}, ${H} heads, vocabulary ${count(vocab_size)}`,
    `parameters       ${count(countValues(specs))}, of them ${count(countValues(specs.filter(({ role }) => role === "embedding")))} in embeddings`,
    `a step           ${count(tokensPerStep)} tokens in ${Math.ceil(tokensPerStep / microBatchTokens)} micro-batches of at most ${count(microBatchTokens)}; pieces of up to ${count(maxLength)}`,
    `the run          ${count(steps)} steps, ${count(steps * tokensPerStep)} tokens`,
    `memory           about ${gib(fixed + activations)}`,
    `  weights, gradients, optimizer${isBf16 ? ", bf16 copies" : ""}: ${gib(fixed)}`,
    `  activations of a micro-batch${activationCheckpointing ? ", recomputed" : ""}: about ${gib(activations)}`,
    ...(config.dtype === "auto" ? ["  (for fp32; bf16, if it proves faster here, needs less)"] : []),
  ].join("\n");
}

/** What the ranks of a run are and how they are connected. */
export interface Cluster {
  ranks: number;
  /** Of each rank, in each direction. */
  bytesPerSecond: number;
  latencySeconds: number;
}

/** How fast one rank is. */
export interface Pace {
  dtype: "fp32" | "bf16";
  passSecondsPerToken: number;
  /** For all parameters. */
  optimizerSeconds: number;
  /** Where these are from, for a person. */
  source: string;
}

/** Lines for a person: memory, bytes and time of a rank of several, by the model of cost in world/cost.ts. */
export async function describeRanks(config: RunConfig, cluster: Cluster, pace: Pace): Promise<string> {
  const { ranks } = cluster;
  const { sharding, tokensPerStep, microBatchTokens } = config;
  const model = await architectureOfRun(config);
  const specs = model.parameters("maskedLM");
  const parameters = specs.map(({ name, shape, role }): Parameter => {
    const count = shape.reduce((product, size) => product * size, 1);
    return { name, count, isNarrow: pace.dtype === "bf16" && role === "matrix" };
  });
  const memory = memoryCost(parameters, { sharding, ranks, optimizerBytes: optimizerBytes(specs, config) });
  const activations = activationBytes(model, microBatchTokens, { ...config, dtype: pace.dtype });
  const { weights, optimizer, gradients } = memory;
  const microBatches = Math.ceil(tokensPerStep / microBatchTokens);
  const work = {
    ...{ parameters, sharding, microBatches },
    passSeconds: (pace.passSecondsPerToken * tokensPerStep) / microBatches,
    optimizerSeconds: pace.optimizerSeconds,
  };
  const busySecondsPerByte = config.device === "cpu" ? PROCESSOR_SECONDS_PER_BYTE : 0;
  const cost = stepCost(work, ranks, { ...cluster, busySecondsPerByte });
  const hidden = cost.networkSeconds > 0 ? 1 - cost.waitSeconds / cost.networkSeconds : 1;
  const rate = 1 / (pace.passSecondsPerToken + pace.optimizerSeconds / tokensPerStep);
  const idle = Math.ceil(microBatches / ranks) * ranks - microBatches;
  return [
    `with ${`${count(ranks)} ranks`.padEnd(12)}sharding ${sharding}, ${pace.dtype}, ${count(Math.round(rate))} tokens/s each by itself (${pace.source})`,
    `  memory a rank  about ${gib(weights + optimizer + gradients + activations)}: weights ${gib(weights)}, optimizer ${gib(optimizer)}, gradients ${gib(gradients)}, activations ${gib(activations)}`,
    `  network        ${gib(cost.bytes)} sent by each rank in a step, ${seconds(cost.networkSeconds)}, of which ${Math.round(100 * hidden)} % are hidden`,
    `  a step         about ${seconds(cost.seconds)}: computing ${seconds(cost.computeSeconds)}, waiting ${seconds(cost.waitSeconds)}`,
    `  all ranks      about ${count(Math.round(tokensPerStep / cost.seconds))} tokens/s, efficiency ${Math.round(100 * cost.efficiency)} %`,
    ...(idle > 0
      ? [
          `  NOTE: ${count(microBatches)} micro-batches a step leave ${count(idle)} of ${count(ranks)} ranks with one less than others`,
        ]
      : []),
  ].join("\n");
}

const seconds = (value: number) => (value < 0.1 ? `${(1000 * value).toPrecision(2)} ms` : `${value.toPrecision(3)} s`);

async function architectureOfRun(config: RunConfig): Promise<ModelArchitecture> {
  const { from } = config.model;
  if (from === undefined) {
    return architectureOf(freshModelConfig(config, loadTokenizer(tokenizerFolder(config, undefined))));
  }
  const folder = modelFolder(await resolveModel(from));
  return readArchitecture(folder);
}

function optimizerBytes(specs: readonly ParameterSpec[], { optimizer }: RunConfig): number {
  if (optimizer.name !== "soap") return 8 * countValues(specs);
  return 4 * specs.reduce((sum, { shape }) => sum + soapStateSize(shape, optimizer), 0);
}

/**
 * What autograd keeps for backward, by the sizes of the saved values: per token and layer 12 vectors of the model's
 * width and 4 of the inner one, in the compute type (norms and the residual stream stay float32), and the logits. Where
 * attention's probabilities are dropped out they are kept too, before and after, with what was drawn.
 */
function activationBytes(model: ModelArchitecture, tokens: number, config: RunConfig): number {
  const { num_hidden_layers: L, hidden_size: C, vocab_size: V, num_attention_heads: H } = model.config;
  const I = model.innerSize();
  const bytes = config.dtype === "bf16" ? 2 : 4;
  const probabilities = model.attentionDropout() > 0 ? 3 * 4 * H * tokens * config.maxLength : 0;
  const layer = tokens * (6 * C * 4 + 6 * C * bytes + 4 * I * bytes) + probabilities;
  const head = 3 * 4 * tokens * config.masking.rate * V;
  const kept = config.activationCheckpointing ? L * tokens * 2 * C * 4 + layer : L * layer;
  return kept + head;
}
