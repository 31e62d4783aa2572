// Which texts are computed together: the one place that cuts texts into runs, for inference, training and evaluation alike.
// `cutByTokens` cuts a list in its order; `planRun` chooses the next run out of the texts of all calls that wait. Pure
// functions of lengths and times.
//
// Every waiting call has a share of each run, so a short call does not wait for a long one. A call is due at its deadline, or
// PATIENCE_MS after it was last served; the call that is due first is served first, and those of the same settings with it.
// A call that has waited for PATIENCE_MS is due before any that comes anew, so it waits for one run more at most for
// each call that waits already.

/** How long a call is passed over for calls with nearer deadlines. */
export const PATIENCE_MS = 250;

/** The texts of one call that wait, in the order in which they are to be computed. */
export interface WaitingTexts {
  /** How many wait. */
  readonly length: number;
  /** Tokens of the one at this place. */
  tokenCount(place: number): number;
  /** Calls of equal settings may share a run. */
  readonly settings: string;
  /** When the call is given up; infinite where it never is. */
  readonly deadlineMs: number;
  /** When it was last served, or when it came. */
  readonly servedMs: number;
}

/** The first `texts` waiting texts of a call. */
export interface RunShare {
  /** Place of the call in the list. */
  call: number;
  texts: number;
}

/**
 * The shares of the next run, the call that is due first at the front. At most `maxTokens` in all, or one text.
 * `byDeadline`: the call of the nearest deadline has all that it can take, then the next.
 */
export function planRun(calls: readonly WaitingTexts[], maxTokens: number, byDeadline = false): RunShare[] {
  const dueMs = calls.map(({ deadlineMs, servedMs }) =>
    byDeadline ? deadlineMs : Math.min(deadlineMs, servedMs + PATIENCE_MS),
  );
  const order = [...calls.keys()].filter((call) => calls[call]!.length > 0);
  order.sort((a, b) => (dueMs[a] === dueMs[b] ? a - b : dueMs[a]! - dueMs[b]!));
  if (order.length === 0) return [];
  const { settings } = calls[order[0]!]!;
  const shares: RunShare[] = order
    .filter((call) => calls[call]!.settings === settings)
    .map((call) => ({ call, texts: 0 }));
  let tokens = 0;
  const fill = (share: RunShare, most: number) => {
    const waiting = calls[share.call]!;
    for (let own = 0; share.texts < waiting.length; share.texts++) {
      const more = waiting.tokenCount(share.texts);
      if (tokens > 0 && tokens + more > maxTokens) return;
      if (share.texts > 0 && own + more > most) return;
      own += more;
      tokens += more;
    }
  };
  const equalPart = byDeadline ? maxTokens : maxTokens / shares.length;
  for (const share of shares) fill(share, equalPart);
  for (const share of shares) if (share.texts > 0) fill(share, maxTokens);
  return shares.filter(({ texts }) => texts > 0);
}

/** Cuts texts, in their order, into runs of at most `maxTokens`, or of one text. Takes from `texts` as runs are taken. */
export function cutByTokens<T>(texts: Iterable<T>, tokenCount: (text: T) => number, maxTokens: number): Generator<T[]> {
  return cut(texts, tokenCount, ({ tokens }) => tokens <= maxTokens);
}

/** As `cutByTokens` for texts, shortest first, that are padded to the last: `maxPadding` is the share that may be padding. */
export function cutPadded<T>(
  texts: Iterable<T>,
  tokenCount: (text: T) => number,
  { maxTokens, maxPadding }: { maxTokens: number; maxPadding: number },
): Generator<T[]> {
  return cut(texts, tokenCount, ({ length, tokens, longest }) => {
    const padded = length * longest;
    return padded <= maxTokens && padded - tokens <= maxPadding * padded;
  });
}

/** The places of texts, longest first: what needs most memory comes first, and neighbours are about equally long. */
export function longestFirst(texts: { length: number; tokenCount(text: number): number }): number[] {
  // Counting places by length, in plain loops: sorting ten thousands, or a callback for each, would hold up the event loop.
  const lengths = new Uint32Array(texts.length);
  let longest = 0;
  for (let text = 0; text < lengths.length; text++) {
    lengths[text] = texts.tokenCount(text);
    if (lengths[text]! > longest) longest = lengths[text]!;
  }
  const placeOf = new Uint32Array(longest + 2);
  for (let text = 0; text < lengths.length; text++) placeOf[lengths[text]!]!++;
  for (let length = longest; length >= 0; length--) placeOf[length]! += placeOf[length + 1]!;
  const order = new Array<number>(lengths.length);
  for (let text = 0; text < lengths.length; text++) order[placeOf[lengths[text]! + 1]!++] = text;
  return order;
}

function* cut<T>(
  texts: Iterable<T>,
  tokenCount: (text: T) => number,
  fits: (run: { length: number; tokens: number; longest: number }) => boolean,
): Generator<T[]> {
  let run: T[] = [];
  let tokens = 0;
  for (const text of texts) {
    const longest = tokenCount(text);
    if (run.length > 0 && !fits({ length: run.length + 1, tokens: tokens + longest, longest })) {
      yield run;
      run = [];
      tokens = 0;
    }
    run.push(text);
    tokens += longest;
  }
  if (run.length > 0) yield run;
}
