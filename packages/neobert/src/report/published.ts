// Scores that others published, to be laid beside one's own and always marked as published: the NeoBERT paper's tables 3
// and 4 and figure 1 (arXiv 2502.19587v2). Baselines there are copied from their own papers; the GLUE rows of BERT look
// like test-server scores. All in percent.

/** MTEB's categories in the order of the paper's table 4, with the number of their tasks and the paper's short names. */
export const mtebCategories = [
  { type: "Classification", short: "Class", tasks: 12 },
  { type: "Clustering", short: "Clust", tasks: 11 },
  { type: "PairClassification", short: "Pair", tasks: 3 },
  { type: "Reranking", short: "Rerank", tasks: 4 },
  { type: "Retrieval", short: "Retr", tasks: 15 },
  { type: "STS", short: "STS", tasks: 10 },
  { type: "Summarization", short: "Summ", tasks: 1 },
] as const;

/** Table 4: MTEB (English, v1) after the same 2,000 steps of contrastive fine-tuning; the mean is over the 56 tasks. */
export const publishedMteb: { name: string; scores: number[]; mean: number }[] = [
  { name: "BERT base", scores: [60.6, 37.0, 71.5, 48.9, 28.3, 69.9, 31.1], mean: 48.1 },
  { name: "RoBERTa base", scores: [58.7, 36.7, 71.2, 49.8, 26.9, 71.8, 29.1], mean: 47.7 },
  { name: "DeBERTaV3 base", scores: [45.9, 15.2, 44.3, 39.0, 3.5, 42.2, 25.0], mean: 26.9 },
  { name: "NomicBERT 2048", scores: [55.0, 35.3, 69.0, 48.8, 30.5, 70.1, 30.1], mean: 47.1 },
  { name: "ModernBERT base", scores: [58.9, 38.1, 63.8, 48.5, 21.0, 66.2, 30.1], mean: 45.0 },
  { name: "NeoBERT 4096", scores: [61.6, 40.8, 76.2, 51.2, 31.6, 74.8, 30.7], mean: 51.3 },
  { name: "BERT large", scores: [59.8, 39.3, 70.9, 49.7, 29.6, 71.4, 31.2], mean: 49.1 },
  { name: "RoBERTa large", scores: [57.1, 39.3, 72.5, 51.3, 30.0, 71.7, 31.1], mean: 48.9 },
  { name: "DeBERTaV3 large", scores: [45.9, 16.4, 45.0, 40.8, 4.0, 40.1, 29.9], mean: 27.1 },
  { name: "ModernBERT large", scores: [62.4, 38.7, 65.5, 50.1, 23.1, 68.3, 27.8], mean: 46.9 },
];

/** The tasks of table 3 in its order. */
export const publishedGlueTasks = ["mnli", "qnli", "qqp", "rte", "sst2", "mrpc", "cola", "stsb"] as const;

/** Table 3: GLUE, development set. */
export const publishedGlue: { name: string; scores: number[]; mean: number }[] = [
  { name: "BERT base", scores: [84.0, 90.5, 71.2, 66.4, 93.5, 88.9, 52.1, 85.8], mean: 79.6 },
  { name: "RoBERTa base", scores: [87.6, 92.8, 91.9, 78.7, 94.8, 90.2, 63.6, 91.2], mean: 86.4 },
  { name: "NomicBERT 2048", scores: [86.0, 92.0, 92.0, 82.0, 93.0, 88.0, 50.0, 90.0], mean: 84.0 },
  { name: "ModernBERT base", scores: [89.1, 93.9, 92.1, 87.4, 96.0, 92.2, 65.1, 91.8], mean: 88.5 },
  { name: "NeoBERT 1024", scores: [88.9, 93.9, 90.7, 91.0, 95.8, 93.4, 64.8, 92.1], mean: 88.8 },
  { name: "NeoBERT 4096", scores: [89.0, 93.7, 90.7, 91.3, 95.6, 93.4, 66.2, 91.8], mean: 89.0 },
  { name: "BERT large", scores: [86.3, 92.7, 72.1, 70.1, 94.9, 89.3, 60.5, 86.5], mean: 82.1 },
  { name: "RoBERTa large", scores: [90.2, 94.7, 92.2, 86.6, 96.4, 90.9, 68.0, 92.4], mean: 88.9 },
  { name: "DeBERTaV3 large", scores: [91.9, 96.0, 93.0, 92.7, 96.9, 91.9, 75.3, 93.0], mean: 91.4 },
  { name: "ModernBERT large", scores: [90.8, 95.2, 92.7, 92.1, 97.1, 91.7, 71.4, 92.8], mean: 90.5 },
];

/** Figure 1: GLUE average (development set) of each variant, m0 to m10, after a million steps. */
export const publishedAblations: Record<string, number> = Object.fromEntries(
  [79.2, 81.1, 84.0, 82.2, 83.5, 82.9, 80.5, 85.3, 86.0, 87.3, 89.0].map((average, i) => [`m${i}`, average]),
);
