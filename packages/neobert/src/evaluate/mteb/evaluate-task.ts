// A task's data to mteb's scores, by the evaluator of its type.

import { evaluateClassification } from "../evaluators/classification.js";
import { evaluateClustering } from "../evaluators/clustering.js";
import { evaluatePairClassification } from "../evaluators/pair-classification.js";
import { evaluateReranking } from "../evaluators/reranking.js";
import { evaluateRetrieval } from "../evaluators/retrieval.js";
import { evaluateSts } from "../evaluators/sts.js";
import { evaluateSummarization } from "../evaluators/summarization.js";
import type { Encode, Scores } from "../evaluators/types.js";
import type { MtebTask } from "./mteb-tasks.js";
import type { TaskData } from "./task-data.js";

export function evaluateTask(task: MtebTask, data: TaskData, encode: Encode, signal?: AbortSignal): Promise<Scores> {
  switch (data.type) {
    case "Classification":
      return evaluateClassification(data, encode, { samplesPerLabel: task.samplesPerLabel, signal });
    case "Clustering":
      return evaluateClustering(data, encode, { signal });
    case "PairClassification":
      return evaluatePairClassification(data, encode);
    case "Reranking":
      return evaluateReranking(data, encode, { signal });
    case "Retrieval":
      return evaluateRetrieval({ ...data, ignoreIdenticalIds: task.ignoreIdenticalIds }, encode, { signal });
    case "STS":
      return evaluateSts(data, encode);
    case "Summarization":
      return evaluateSummarization(data, encode);
  }
}
