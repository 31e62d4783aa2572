// The public surface of `neobert/evaluate`: scoring models.

export {
  type ClassificationData,
  type ClassificationOptions,
  evaluateClassification,
} from "./evaluators/classification.js";
export { type ClusteringData, evaluateClustering } from "./evaluators/clustering.js";
export { type Document, DocumentStore, type Documents } from "./evaluators/documents.js";
export { evaluatePairClassification, type PairClassificationData } from "./evaluators/pair-classification.js";
export { evaluateReranking, type RerankingData } from "./evaluators/reranking.js";
export { evaluateRetrieval, type RetrievalData, type RetrievalOptions } from "./evaluators/retrieval.js";
export { type SearchOptions, searchExact } from "./evaluators/search.js";
export { evaluateSts, type StsData } from "./evaluators/sts.js";
export { evaluateSummarization, type SummarizationData } from "./evaluators/summarization.js";
export type { Encode, Scores, VectorRows } from "./evaluators/types.js";
export { glue } from "./glue/glue.js";
export {
  type Benchmark,
  type BenchmarkTask,
  type Example,
  mainScore,
  predictionsOf,
  taskOf,
} from "./glue/glue-task.js";
export { type Grid, grids } from "./glue/grid.js";
export { loadExamples } from "./glue/load-examples.js";
export { superglue } from "./glue/superglue.js";
export { chooseProducts } from "./learn/choose-products.js";
export { type Clustering, lloyd } from "./learn/kmeans.js";
export { LogisticRegression, type LogisticRegressionOptions } from "./learn/logistic-regression.js";
export { type MiniBatchKMeansOptions, miniBatchKMeans } from "./learn/mini-batch-kmeans.js";
export { type Matrix, type Products, plainProducts } from "./learn/products.js";
export { RandomState } from "./learn/random-state.js";
export { type Confidence, confidenceOf, nAUC } from "./metrics/abstention.js";
export { bitextScores } from "./metrics/bitext.js";
export {
  type Average,
  accuracy,
  averagePrecision,
  f1Binary,
  f1Macro,
  f1Weighted,
  matthews,
  precisionRecallF1,
  rocAuc,
} from "./metrics/classification-metrics.js";
export {
  adjustedMutualInformation,
  adjustedRand,
  homogeneityCompletenessVMeasure,
  normalizedMutualInformation,
  vMeasure,
} from "./metrics/clustering-metrics.js";
export { correlationPValue, kendallTau, pearson, spearman } from "./metrics/correlation.js";
export { CUTOFFS, type Judgements, type Ranking, type RankingScores, rankingScores } from "./metrics/ranking.js";
export { type EndpointOptions, HttpEmbedder, openEndpoint } from "./mteb/endpoint.js";
export {
  evaluateMteb,
  type MtebOptions,
  type MtebProgress,
  type MtebReport,
  type TaskOutcome,
} from "./mteb/evaluate-mteb.js";
export type { EmbeddingModel, EncodeCall, PromptSource, TextEncoder } from "./mteb/model.js";
export { type Summary, summarize, summaryLines } from "./mteb/mteb-summary.js";
export { type MtebTask, mtebTasks, type TaskType, taskTypes } from "./mteb/mteb-tasks.js";
export type { ModelAbout, TaskResult } from "./mteb/result-file.js";
export { type MaskedLM, maskedText, type ScoreOptions, scoreTexts, type TextScore } from "./pppl/pppl.js";
export type { PplPoint } from "./pppl/pppl-points.js";
export { evaluatePseudoPerplexity, type PplOptions, type PplProgress, type PplReport } from "./pppl/pppl-run.js";
