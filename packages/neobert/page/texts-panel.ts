// The texts that all tabs work on, and their vectors: typed one a line, or a column of a dropped file.

import { choice, el, field, plural, setChoices, short, tick, whole } from "./dom.js";
import { guessColumns, readTable, type Table } from "./read-table.js";
import { type Info, inParts, Job, type Model, modelsFor, post, type Run } from "./server-calls.js";

export interface TextSet {
  texts: string[];
  /** Of each text, where a column is chosen. */
  groups?: { name: string; values: string[] };
  /** The file they are of, and each text's row in it. */
  source?: { table: Table; textColumn: number; rows: number[] };
}

/** Vectors of texts, one after the other in `data`, and what they were made from and with. */
export interface Embedded extends TextSet {
  model: Model;
  data: Float32Array<ArrayBuffer>;
  dimension: number;
  norms: Float32Array;
  /** Tokens that were computed of each text, and how many more it had. */
  report: { tokens: number; cut: number }[];
}

export const NO_TEXTS = "There are no texts yet: type some, or open a file.";

const example = [
  "The bakery opens at six and the bread is still warm.",
  "Knead the dough for ten minutes, then let it rise.",
  "A pinch of salt brings out the taste of chocolate.",
  "Simmer the lentils until they are soft.",
  "The orchestra tuned its strings before the symphony.",
  "She learned the cello before she could read.",
  "The choir sang without a conductor.",
  "His new record mixes jazz with folk songs.",
  "The telescope found water on a distant planet.",
  "Two black holes merged and space itself rang.",
  "The probe left the solar system last year.",
  "Astronomers measured the light of an old star.",
];

export class TextsPanel extends EventTarget {
  readonly #info: Info;
  readonly #lines = el("textarea", {
    rows: 12,
    spellcheck: "false",
    placeholder: "One text a line",
    input: () => this.#changed(),
  });
  readonly #file = el("input", {
    type: "file",
    accept: ".csv,.tsv,.tab,.jsonl,.ndjson,.json,.txt",
    class: "unseen",
    id: "file",
  });
  readonly #fileError = el("p", { role: "alert", class: "error" });
  readonly #fileNote = el("p", { class: "file" });
  readonly #textColumn = choice([], () => this.#changed());
  readonly #colourColumn = choice([], () => this.#changed());
  readonly #model: HTMLSelectElement;
  readonly #prompt = choice([]);
  readonly #unit = el("input", { type: "checkbox", checked: true });
  readonly #job = new Job("Embed", (run) => this.#embed(run));
  readonly #other = el("button", { type: "button" });
  readonly #typed: HTMLElement;
  readonly #dropped: HTMLElement;
  #table: Table | undefined;
  #set: TextSet = { texts: [] };
  embedded: Embedded | undefined;

  constructor(host: HTMLElement, info: Info) {
    super();
    this.#info = info;
    const encoders = modelsFor(info, "embedding");
    this.#model = choice(
      encoders.map(({ model_id }) => [model_id, model_id]),
      () => this.#showPrompts(),
    );
    const useExample = () => {
      this.#lines.value = example.join("\n");
      this.#changed();
    };
    this.#typed = el("div", {}, field("One a line", this.#lines));
    const useTyped = () => (this.#table ? this.#take(undefined) : useExample());
    this.#dropped = el(
      "div",
      { hidden: true },
      this.#fileNote,
      field("Text", this.#textColumn),
      field("Colour", this.#colourColumn),
    );
    const open = el("label", { for: "file", class: "button" }, "Open a file");
    const hint = el(
      "p",
      { class: "hint" },
      "or drop one: CSV, TSV, JSON Lines, plain text. It is read here and sent to this server only.",
    );
    const vectors = el(
      "div",
      { class: "vectors", hidden: encoders.length === 0 },
      field("Model", this.#model),
      field("Prompt", this.#prompt),
      tick("Vectors of length 1", this.#unit),
      this.#job.button,
      this.#job.note,
    );
    host.append(
      el("h2", { id: "texts-title" }, "Texts"),
      this.#typed,
      this.#dropped,
      el("div", { class: "row" }, this.#file, open, this.#other),
      hint,
      this.#fileError,
      vectors,
    );
    this.#file.addEventListener("change", () => this.#read(this.#file.files?.[0]));
    this.#other.addEventListener("click", useTyped);
    this.#acceptDrops();
    this.#showPrompts();
    this.#changed();
  }

  #showPrompts(): void {
    showPromptsOf(this.#prompt, this.model, "document");
  }

  /** What is typed or chosen now. */
  get set(): TextSet {
    return this.#set;
  }

  /** The encoder that is chosen. */
  get model(): Model | undefined {
    return modelsFor(this.#info, "embedding").find(({ model_id }) => model_id === this.#model.value);
  }

  #acceptDrops(): void {
    const mark = (isOver: boolean) => document.body.classList.toggle("over", isOver);
    const files = (event: DragEvent, isOver: boolean) => {
      if (!event.dataTransfer?.types.includes("Files")) return undefined;
      event.preventDefault();
      mark(isOver);
      return event.dataTransfer.files;
    };
    document.addEventListener("dragover", (event) => files(event, true));
    document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget === null && mark(false));
    document.addEventListener("drop", (event) => this.#read(files(event, false)?.[0]));
  }

  async #read(file: File | undefined): Promise<void> {
    if (!file) return;
    try {
      this.#take(readTable(file.name, await file.text()));
    } catch (error) {
      this.#fileError.textContent = (error as Error).message;
    }
    this.#file.value = "";
  }

  #take(table: Table | undefined): void {
    this.#table = table;
    this.#fileError.textContent = "";
    this.#typed.hidden = table !== undefined;
    this.#dropped.hidden = table === undefined;
    if (table) {
      const options = table.columns.map((name, i) => [`${i}`, name] as const);
      const { text, colour } = guessColumns(table);
      setChoices(this.#textColumn, options);
      setChoices(this.#colourColumn, [["", "none"], ...options]);
      this.#textColumn.value = `${text}`;
      this.#colourColumn.value = `${colour ?? ""}`;
    }
    this.#changed();
  }

  #changed(): void {
    this.#set = this.#table
      ? this.#ofTable(this.#table)
      : { texts: this.#lines.value.split("\n").filter((line) => line.trim() !== "") };
    const count = this.#set.texts.length;
    this.#other.textContent = this.#table ? "Type texts instead" : "Use an example";
    this.#job.label = count === 0 ? "Embed" : `Embed ${plural(count, "text")}`;
    this.dispatchEvent(new Event("texts"));
  }

  #ofTable(table: Table): TextSet {
    const textColumn = Number(this.#textColumn.value);
    const rows = table.rows.flatMap((row, i) => (row[textColumn]?.trim() ? [i] : []));
    const values = (column: number) => rows.map((row) => table.rows[row]![column] ?? "");
    const skipped = table.rows.length - rows.length;
    this.#fileNote.replaceChildren(
      el("b", {}, table.name),
      ` ${plural(rows.length, "text")}${skipped > 0 ? `, ${whole(skipped)} empty left out` : ""}`,
    );
    const colour = this.#colourColumn.value;
    return {
      texts: values(textColumn),
      source: { table, textColumn, rows },
      ...(colour !== "" && { groups: { name: table.columns[Number(colour)]!, values: values(Number(colour)) } }),
    };
  }

  async #embed(run: Run): Promise<string> {
    const [set, model, start] = [this.#set, this.model!, performance.now()];
    if (set.texts.length === 0) throw new Error(NO_TEXTS);
    const wishes = { normalized: this.#unit.checked, prompt: this.#prompt.value };
    const rows = await inParts(set.texts, this.#info, run, (part, signal) => embedPart(part, model, wishes, signal));
    const seconds = (performance.now() - start) / 1000;
    const dimension = rows[0]!.vector.length;
    const data = new Float32Array(rows.length * dimension);
    for (const [i, { vector }] of rows.entries()) data.set(vector, i * dimension);
    const norms = Float32Array.from(rows, ({ vector }) => Math.hypot(...vector));
    const report = rows.map(({ tokens, cut }) => ({ tokens, cut }));
    this.embedded = { ...set, model, data, dimension, norms, report };
    this.dispatchEvent(new Event("vectors"));
    const tokens = report.reduce((sum, { tokens }) => sum + tokens, 0);
    return `${plural(rows.length, "text")}, ${plural(tokens, "token")} in ${short(seconds)} s: ${short(rows.length / seconds)} texts/s.`;
  }
}

/** A model's prompts as choices; hidden where it has none. */
export function showPromptsOf(select: HTMLSelectElement, model: Model | undefined, preferred: string): void {
  const prompts = Object.entries(model?.model_type.embedding?.prompts ?? {}).filter(([, text]) => text !== "");
  setChoices(select, [["", "the server's"], ...prompts.map(([name, text]) => [name, `${name}: ${text}`] as const)]);
  if (prompts.some(([name]) => name === preferred)) select.value = preferred;
  select.parentElement!.hidden = prompts.length === 0;
}

interface EmbeddedPart {
  data: { embedding: string }[];
  report: { tokens: number; cut: number }[];
}

/** Vectors as base64 of float32: a third of the bytes of numbers, and none to parse. */
export async function embedPart(
  texts: readonly string[],
  { model_id: model }: Model,
  { normalized, prompt }: { normalized: boolean; prompt: string },
  signal: AbortSignal,
) {
  const how = { encoding_format: "base64", truncate: true, report: true, normalized };
  const body = { model, input: texts, ...how, ...(prompt !== "" && { prompt_name: prompt }) };
  const { data, report } = await post<EmbeddedPart>("v1/embeddings", body, signal);
  return data.map(({ embedding }, i) => ({ vector: floatsOf(embedding), ...report[i]! }));
}

function floatsOf(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** The cosine of vector `i` with a vector. */
export function cosines({ data, dimension, norms, texts }: Embedded, vector: Float32Array): Float32Array {
  const norm = Math.hypot(...vector);
  return Float32Array.from(texts, (_, i) => {
    let sum = 0;
    for (let k = 0; k < dimension; k++) sum += data[i * dimension + k]! * vector[k]!;
    return sum / (norms[i]! * norm || 1);
  });
}
