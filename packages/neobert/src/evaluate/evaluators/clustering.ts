// Clustering: mini-batch k-means with as many clusters as there are labels, and the v-measure of what it finds; the mean
// over the sets. mteb seeds NumPy anew for every set, so each starts from the same seed.

import { chooseProducts } from "../learn/choose-products.js";
import { miniBatchKMeansSteps } from "../learn/mini-batch-kmeans.js";
import type { Products } from "../learn/products.js";
import { RandomState } from "../learn/random-state.js";
import { inSlices } from "../learn/slices.js";
import { vMeasure } from "../metrics/clustering-metrics.js";
import type { Encode, Scores } from "./types.js";
import { encodeAll, mean } from "./vectors.js";

export interface ClusteringData {
  sets: readonly { sentences: readonly string[]; labels: readonly (number | string)[] }[];
}

const BATCH_SIZE = 500;

export async function evaluateClustering(
  { sets }: ClusteringData,
  encode: Encode,
  options: { seed?: number; products?: Products; signal?: AbortSignal | undefined } = {},
): Promise<Scores> {
  const products = options.products ?? (await chooseProducts());
  const measures: number[] = [];
  for (const [i, { sentences, labels }] of sets.entries()) {
    if (sentences.length !== labels.length || labels.length === 0) {
      throw new RangeError(
        `evaluateClustering: expected a label for each sentence of set ${i}, got ${labels.length} and ${sentences.length}`,
      );
    }
    const { data, shape } = await encodeAll(sentences, encode, "query");
    const random = new RandomState(options.seed ?? 42);
    const k = new Set(labels).size;
    const work = miniBatchKMeansSteps(data, shape[1], k, { products, random, batchSize: BATCH_SIZE });
    const clusters = await inSlices(work, options.signal);
    measures.push(vMeasure(labels, clusters.labels));
  }
  const average = mean(measures);
  const deviation = Math.sqrt(mean(measures.map((value) => (value - average) ** 2)));
  return { v_measure: average, v_measure_std: deviation, v_measures: measures, main_score: average };
}
