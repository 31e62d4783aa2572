// How many tokens a run may have where calls share the engine. A run takes a fixed time and one that grows with its tokens;
// both are learnt from the runs as they end. The fit is of the time per token, fixed / tokens + perToken, by least squares
// in which older runs fade, so that runs of all sizes count alike.

/** What is left of a run's weight when the next one is learnt. */
const FADING = 0.95;
/** How much the fastest rate is held for slower with each further run. */
const RISING = 1.01;
/** Runs tell fixed time from time per token where their 1 / tokens vary by this share of the mean. */
const LEAST_VARIATION = 0.25;
/** Milliseconds of a run, unless its fixed time is more than its share of that. */
export const RUN_MS = 25;
/** The share of a run that may be fixed time: what short runs cost in throughput. */
const FIXED_SHARE = 1 / 16;
/** Fewer tokens are not worth a run of their own, whatever the engine's rate. */
const LEAST_TOKENS = 128;

export class RunBound {
  readonly #maxRunMs: number | undefined;
  /** Weighted sums over the runs: x is 1 / tokens, y milliseconds per token. */
  #sums = { weight: 0, x: 0, y: 0, xx: 0, xy: 0 };
  #fixedMs = 0;
  #leastMsPerToken: number | undefined;

  /** `maxRunMs` holds where it is given; else runs are as long as is needed to lose little to their fixed time. */
  constructor(maxRunMs?: number) {
    this.#maxRunMs = maxRunMs;
  }

  /** Takes notice of a run; one without tokens or time tells nothing. */
  learn(tokens: number, ms: number): void {
    if (!(ms > 0 && tokens > 0)) return;
    const [x, y] = [1 / tokens, ms / tokens];
    if (tokens >= LEAST_TOKENS) this.#leastMsPerToken = Math.min(y, RISING * (this.#leastMsPerToken ?? y));
    const { weight, ...old } = this.#sums;
    this.#sums = {
      weight: FADING * weight + 1,
      x: FADING * old.x + x,
      y: FADING * old.y + y,
      xx: FADING * old.xx + x * x,
      xy: FADING * old.xy + x * y,
    };
  }

  /** Most tokens of the next run; infinite before the first has ended. */
  get mostTokens(): number {
    const fit = this.#fit();
    if (!fit) return Number.POSITIVE_INFINITY;
    const runMs = this.#maxRunMs ?? Math.max(RUN_MS, fit.fixedMs / FIXED_SHARE);
    return Math.max(LEAST_TOKENS, Math.floor((runMs - fit.fixedMs) / fit.msPerToken));
  }

  /**
   * The fewest milliseconds that so many tokens take in any number of runs, at the fastest rate of late; 0 before a run of
   * a fair size has ended, since short ones, and the first, tell little of others.
   */
  leastMsOf(tokens: number): number {
    return tokens * (this.#leastMsPerToken ?? 0);
  }

  /** Milliseconds that a run of so many tokens will take; 0 before the first has ended. */
  msOf(tokens: number): number {
    const fit = this.#fit();
    return fit ? fit.fixedMs + tokens * fit.msPerToken : 0;
  }

  #fit(): { fixedMs: number; msPerToken: number } | undefined {
    const { weight, x, y, xx, xy } = this.#sums;
    if (weight === 0) return undefined;
    const [meanX, meanY] = [x / weight, y / weight];
    const variance = xx / weight - meanX ** 2;
    if (variance > (LEAST_VARIATION * meanX) ** 2) this.#fixedMs = (xy / weight - meanX * meanY) / variance;
    // A fit of noisy times must leave some time to the tokens, and none that is negative to the rest.
    const fixedMs = Math.max(0, Math.min(this.#fixedMs, (0.9 * meanY) / meanX));
    return { fixedMs, msPerToken: meanY - fixedMs * meanX };
  }
}
