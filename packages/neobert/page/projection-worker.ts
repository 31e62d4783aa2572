// A worker that lays vectors out in two dimensions: PCA or UMAP, both from a fixed seed, so the same texts give the same map.

import { randomLcg } from "d3";
import { UMAP } from "umap-js";
import { principalComponents } from "./principal-components.js";

export interface Wish {
  method: "pca" | "umap";
  data: Float32Array;
  dimension: number;
  neighbours: number;
  minDist: number;
}
export interface Projection {
  /** x and y of each vector. */
  points: Float32Array;
  /** Of the variance, on each axis; PCA only. */
  shares?: number[];
}

self.onmessage = async ({ data: wish }: MessageEvent<Wish>) => {
  postMessage({ result: wish.method === "pca" ? principalComponents(wish.data, wish.dimension) : await umap(wish) });
};

async function umap({ data, dimension, neighbours, minDist }: Wish): Promise<Projection> {
  const count = data.length / dimension;
  const rows = Array.from({ length: count }, (_, i) => Array.from(data.subarray(i * dimension, (i + 1) * dimension)));
  const nNeighbors = Math.min(neighbours, count - 1);
  const learner = new UMAP({ nNeighbors, minDist, nComponents: 2, random: randomLcg(0.5) });
  const of = learner.initializeFit(rows);
  for (let done = 1; done <= of; done++) {
    learner.step();
    if (done % 10 === 0) postMessage({ done, of });
  }
  return { points: Float32Array.from(learner.getEmbedding().flat()) };
}
