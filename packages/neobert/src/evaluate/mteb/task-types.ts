// The kinds of task that MTEB (English, v1) has, by its own names.

export const taskTypes = [
  "Classification",
  "Clustering",
  "PairClassification",
  "Reranking",
  "Retrieval",
  "STS",
  "Summarization",
] as const;
export type TaskType = (typeof taskTypes)[number];
