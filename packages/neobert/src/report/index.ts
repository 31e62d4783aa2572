// `neobert/report`: what runs and evaluations have left behind, as a page, pictures and tables.

export { ablationFigure } from "./ablations.js";
export { comparisonTable } from "./comparison.js";
export type { Ablations, Comparison, Glue, PseudoPerplexity } from "./formats.js";
export { pseudoPerplexityFigure } from "./pseudo-perplexity.js";
export { readPseudoPerplexity } from "./read-run.js";
export { type ReportOptions, reportHtml, writeReport } from "./report.js";
