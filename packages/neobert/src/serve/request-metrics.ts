// Counts and times of requests in Prometheus' text format, with Text Embeddings Inference's names where the meaning is the
// same. Labels come from the table of routes and of errors, never from requests, so their number is bounded.

import type { Task } from "./served-models.js";

/** Upper bounds: times in seconds, tokens, inputs. */
const SECONDS = Array.from({ length: 35 }, (_, i) => 1.5e-5 * 1.5 ** i);
const POWERS_OF_TWO = Array.from({ length: 20 }, (_, i) => 2 ** i);

class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    const at = this.#bounds.findIndex((bound) => value <= bound);
    this.#counts[at < 0 ? this.#bounds.length : at]!++;
    this.#sum += value;
  }

  lines(name: string): string[] {
    let below = 0;
    const buckets = this.#bounds.map((bound, i) => {
      below += this.#counts[i]!;
      return `${name}_bucket{le="${bound}"} ${below}`;
    });
    const all = below + this.#counts.at(-1)!;
    return [...buckets, `${name}_bucket{le="+Inf"} ${all}`, `${name}_sum ${this.#sum}`, `${name}_count ${all}`];
  }
}

interface Gauges {
  inFlight: number;
  waitingTexts: number;
  waitingTokens: number;
}

export class RequestMetrics {
  readonly #gauges: () => Gauges;
  #requests = 0;
  #inputs = 0;
  #embedded = 0;
  #predicted = 0;
  #tokens = 0;
  readonly #successes = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  readonly #duration = new Histogram(SECONDS);
  readonly #textTokens = new Histogram(POWERS_OF_TWO);
  readonly #requestTokens = new Histogram(POWERS_OF_TWO);

  constructor(gauges: () => Gauges) {
    this.#gauges = gauges;
  }

  /** A request has come to its end, well or with this kind of error. */
  end(method: string, seconds: number, work: { task?: Task; tokens?: ArrayLike<number>; error?: string }): void {
    const { task, tokens = [], error } = work;
    this.#requests++;
    const [counts, label] = error === undefined ? [this.#successes, method] : [this.#failures, error];
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (error !== undefined) return;
    if (tokens.length > 0) this.#duration.observe(seconds);
    this.#inputs += tokens.length;
    if (task === "encoder") this.#embedded += tokens.length;
    if (task === "classifier" || task === "reranker") this.#predicted += tokens.length;
    let sum = 0;
    for (let i = 0; i < tokens.length; i++) {
      this.#textTokens.observe(tokens[i]!);
      sum += tokens[i]!;
    }
    this.#tokens += sum;
    if (sum > 0) this.#requestTokens.observe(sum);
  }

  /** The page of /metrics. */
  text(): string {
    const { inFlight, waitingTexts, waitingTokens } = this.#gauges();
    const part = (name: string, type: string, help: string, lines: string[]) => [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...lines,
    ];
    const single = (name: string, type: string, help: string, value: number) =>
      part(name, type, help, [`${name} ${value}`]);
    const labelled = (name: string, label: string, help: string, counts: ReadonlyMap<string, number>) =>
      part(
        name,
        "counter",
        help,
        [...counts].map(([value, count]) => `${name}{${label}="${value}"} ${count}`),
      );
    return `${[
      ...single("te_request_count", "counter", "Requests.", this.#requests),
      ...labelled("te_request_success", "method", "Requests that were answered, by route.", this.#successes),
      ...labelled("te_request_failure", "err", "Requests that were refused or failed, by kind.", this.#failures),
      ...part(
        "te_request_duration",
        "histogram",
        "Seconds of a request that a model answered.",
        this.#duration.lines("te_request_duration"),
      ),
      ...part(
        "te_request_input_length",
        "histogram",
        "Tokens of a text.",
        this.#textTokens.lines("te_request_input_length"),
      ),
      ...single("te_embed_success", "counter", "Texts that were embedded.", this.#embedded),
      ...single("te_predict_success", "counter", "Texts and pairs that were classified or ranked.", this.#predicted),
      ...single("te_queue_size", "gauge", "Texts that wait to be computed.", waitingTexts),
      ...part(
        "neobert_request_tokens",
        "histogram",
        "Tokens of a request.",
        this.#requestTokens.lines("neobert_request_tokens"),
      ),
      ...single("neobert_inputs_total", "counter", "Texts that were computed.", this.#inputs),
      ...single("neobert_tokens_total", "counter", "Tokens that were computed.", this.#tokens),
      ...single("neobert_requests_in_flight", "gauge", "Requests that are being answered.", inFlight),
      ...single("neobert_waiting_tokens", "gauge", "Tokens that wait to be computed.", waitingTokens),
    ].join("\n")}\n`;
  }
}
