// What MTEB scores: anything that turns texts into vectors. Which prompt goes before a task's texts is decided here.

import type { Encoder } from "../../encoder/encoder.js";
import type { VectorRows } from "../evaluators/types.js";
import { type InstructionSource, instructionsOf, type MtebTask } from "./mteb-tasks.js";

export interface EncodeCall {
  /** Put before each text; undefined: what the model takes by itself. */
  prompt?: string;
  maxTokens?: number;
  onProgress?: (progress: { done: number; total: number }) => void;
  signal?: AbortSignal;
}

/** `Encoder` is one, and what `openEndpoint` gives. */
export interface TextEncoder {
  encode(texts: readonly string[], options?: EncodeCall): Promise<VectorRows>;
  /** The model's own prompts, by the names that mteb looks for (a task's, its type's, query, passage). */
  readonly prompts?: Readonly<Record<string, string>>;
  /** Where its weights lie: kept results and vectors are those of the same weights only. */
  readonly folder?: string;
}

export type EmbeddingModel = TextEncoder | Encoder;

/**
 * Where prompts come from: the model's own by mteb's rules, as sentence-transformers models have them in mteb (default), the
 * paper's instructions, mteb's prompts of the tasks, or nowhere.
 */
export type PromptSource = "model" | InstructionSource;
export const promptSources = ["model", "paper", "mteb", "none"] as const satisfies PromptSource[];

/** How most instruction-tuned models want mteb's prompts. */
export const defaultInstructionFormat = "Instruct: {instruction}\nQuery: ";

export interface PromptChoice {
  source: PromptSource;
  /** For `mteb`: what stands before a text, with `{instruction}` in it. */
  format: string;
}

export type Role = "query" | "document";

/** What goes before a task's texts in this role, or undefined where the model's own default stands. */
export function promptOf(
  task: MtebTask,
  role: Role,
  prompts: Readonly<Record<string, string>>,
  { source, format }: PromptChoice,
): string | undefined {
  if (source === "model") {
    // mteb tells queries from documents in these two types only.
    const roles = task.type === "Retrieval" || task.type === "Reranking" ? namesOf[role] : [];
    const names = [
      ...roles.map((name) => `${task.name}-${name}`),
      task.name,
      ...roles.map((name) => `${task.type}-${name}`),
      task.type,
      ...roles,
    ];
    const found = names.find((name) => Object.hasOwn(prompts, name));
    return found === undefined ? undefined : prompts[found];
  }
  const instruction = instructionsOf(task, source)[role];
  if (instruction === "") return "";
  if (source === "mteb") return format.replace("{instruction}", () => instruction);
  return /\s$/.test(instruction) ? instruction : `${instruction} `;
}

const namesOf: Record<Role, readonly string[]> = { query: ["query"], document: ["passage", "document", "corpus"] };
