// How well clusters agree with labels, whatever the names of either: homogeneity, completeness and their harmonic mean
// (v-measure; Rosenberg and Hirschberg 2007), adjusted Rand index (Hubert and Arabie 1985), normalized and adjusted mutual
// information (Vinh, Epps and Bailey 2010), defined as in scikit-learn (arithmetic means).

import type { Labels } from "./classification-metrics.js";
import { checkLengths } from "./ranks.js";

interface Contingency {
  n: number;
  /** Rows of each label, of each cluster, and of each pair of the two that occurs. */
  labels: number[];
  clusters: number[];
  pairs: { count: number; label: number; cluster: number }[];
}

function contingency(where: string, labels: Labels, clusters: Labels): Contingency {
  checkLengths(where, labels, clusters);
  const numbering = (list: Labels) => {
    const places = new Map<number | string, number>();
    const counts: number[] = [];
    const codes = Array.from(list, (label) => {
      let place = places.get(label);
      if (place === undefined) places.set(label, (place = counts.push(0) - 1));
      counts[place]!++;
      return place;
    });
    return { counts, codes };
  };
  const [a, b] = [numbering(labels), numbering(clusters)];
  const pairs = new Map<number, Contingency["pairs"][number]>();
  for (const [i, label] of a.codes.entries()) {
    const cluster = b.codes[i]!;
    const key = label * b.counts.length + cluster;
    const pair = pairs.get(key);
    if (pair) pair.count++;
    else pairs.set(key, { count: 1, label, cluster });
  }
  return { n: labels.length, labels: a.counts, clusters: b.counts, pairs: [...pairs.values()] };
}

/** In nats. */
function entropy(counts: readonly number[], n: number): number {
  if (counts.length === 1) return 0;
  return -counts.reduce((sum, count) => sum + (count / n) * (Math.log(count) - Math.log(n)), 0);
}

function mutualInformation({ n, labels, clusters, pairs }: Contingency): number {
  let sum = 0;
  for (const { count, label, cluster } of pairs) {
    sum += (count / n) * Math.log((count * n) / (labels[label]! * clusters[cluster]!));
  }
  return Math.max(0, sum);
}

/** Whether clusters hold one label each, labels lie in one cluster each, and the harmonic mean of the two. */
export function homogeneityCompletenessVMeasure(
  labels: Labels,
  clusters: Labels,
): { homogeneity: number; completeness: number; vMeasure: number } {
  const table = contingency("homogeneityCompletenessVMeasure", labels, clusters);
  const information = mutualInformation(table);
  const [ofLabels, ofClusters] = [entropy(table.labels, table.n), entropy(table.clusters, table.n)];
  const homogeneity = ofLabels === 0 ? 1 : information / ofLabels;
  const completeness = ofClusters === 0 ? 1 : information / ofClusters;
  const sum = homogeneity + completeness;
  return { homogeneity, completeness, vMeasure: sum === 0 ? 0 : (2 * homogeneity * completeness) / sum };
}

export const vMeasure = (labels: Labels, clusters: Labels): number =>
  homogeneityCompletenessVMeasure(labels, clusters).vMeasure;

/** The part of pairs of rows on which both agree, less what chance gives: 1 is equal, 0 is chance. */
export function adjustedRand(labels: Labels, clusters: Labels): number {
  const table = contingency("adjustedRand", labels, clusters);
  const pairsIn = (counts: readonly number[]) => counts.reduce((sum, count) => sum + (count * (count - 1)) / 2, 0);
  const both = pairsIn(table.pairs.map(({ count }) => count));
  const [ofLabels, ofClusters, all] = [pairsIn(table.labels), pairsIn(table.clusters), pairsIn([table.n])];
  if (ofLabels === both && ofClusters === both) return 1;
  const chance = (ofLabels * ofClusters) / all;
  return (both - chance) / ((ofLabels + ofClusters) / 2 - chance);
}

/** Mutual information over the mean of the two entropies: the v-measure by another way. */
export function normalizedMutualInformation(labels: Labels, clusters: Labels): number {
  const table = contingency("normalizedMutualInformation", labels, clusters);
  const mean = (entropy(table.labels, table.n) + entropy(table.clusters, table.n)) / 2;
  return mean === 0 ? 1 : mutualInformation(table) / mean;
}

/** Mutual information, less what chance gives, over the mean of the two entropies less the same. */
export function adjustedMutualInformation(labels: Labels, clusters: Labels): number {
  const table = contingency("adjustedMutualInformation", labels, clusters);
  const mean = (entropy(table.labels, table.n) + entropy(table.clusters, table.n)) / 2;
  if (mean === 0) return 1;
  const chance = expectedMutualInformation(table);
  const scale = mean - chance;
  if (Math.abs(scale) < Number.EPSILON) return 0;
  return (mutualInformation(table) - chance) / scale;
}

/** The mean over all ways to deal the rows to clusters of these sizes: a sum over hypergeometric distributions. */
function expectedMutualInformation({ n, labels, clusters }: Contingency): number {
  const logFactorial = new Float64Array(n + 1);
  for (let i = 2; i <= n; i++) logFactorial[i] = logFactorial[i - 1]! + Math.log(i);
  let sum = 0;
  for (const a of labels) {
    for (const b of clusters) {
      const ways = logFactorial[a]! + logFactorial[b]! + logFactorial[n - a]! + logFactorial[n - b]! - logFactorial[n]!;
      for (let both = Math.max(1, a + b - n); both <= Math.min(a, b); both++) {
        const arrangements =
          logFactorial[both]! + logFactorial[a - both]! + logFactorial[b - both]! + logFactorial[n - a - b + both]!;
        sum += (both / n) * Math.log((n * both) / (a * b)) * Math.exp(ways - arrangements);
      }
    }
  }
  return sum;
}
