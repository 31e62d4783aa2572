// What every evaluator takes and gives: a function that turns texts into vectors, and mteb's names and numbers. Nothing
// here knows an encoder, so anything that yields vectors can be scored.

/** Row-major float32 vectors, one row a text. `Embeddings` of the encoder fits. */
export interface VectorRows {
  readonly data: Float32Array;
  readonly shape: readonly [number, number];
}

/** Turns texts into vectors; `role` picks the query or the document instruction. */
export type Encode = (texts: readonly string[], role: "query" | "document") => Promise<VectorRows>;

/** mteb's own names and numbers of one split and subset, e.g. { cosine_spearman: 0.82, ..., main_score: 0.82 }. */
export type Scores = Record<string, unknown> & { main_score: number };
