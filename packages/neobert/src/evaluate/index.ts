// The public surface of `neobert/evaluate`: scoring models.

export { evaluateRetrieval, type RetrievalData, type RetrievalOptions } from "./evaluators/retrieval.js";
export type { Encode, Scores, Vectors } from "./evaluators/types.js";
export { type EndpointOptions, HttpEmbedder, openEndpoint } from "./mteb/endpoint.js";
export {
  evaluateMteb,
  type MtebOptions,
  type MtebProgress,
  type MtebReport,
  type TaskOutcome,
} from "./mteb/evaluate-mteb.js";
export type { EmbeddingModel, EncodeCall, PromptSource, TextEncoder } from "./mteb/model.js";
export type { ModelAbout, TaskResult } from "./mteb/result-file.js";
export { type Summary, summarize, summaryLines } from "./mteb/summary.js";
export { type MtebTask, mtebTasks, type TaskType, taskTypes } from "./mteb/tasks.js";
