// One line of progress on stderr, whatever the work: on a terminal it is rewritten in place, with a bar where there is room,
// elsewhere a plain line is written every few seconds.

/** The part of stderr that is used; tests hand in their own. */
export interface ProgressStream {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

export interface ProgressLineOptions {
  stream?: ProgressStream;
  /** Least milliseconds between two lines; 100 on a terminal, 5,000 elsewhere. */
  intervalMs?: number;
  /** Clock in milliseconds. */
  now?: () => number;
}

const clearLine = "\r\u001b[K";

/** Seconds as `45s`, `12:05` or `3:07:09`; days are counted in hours. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  if (hours > 0) return `${hours}:${two(minutes)}:${two(rest)}`;
  return minutes > 0 ? `${minutes}:${two(rest)}` : `${rest}s`;
}

/** A whole number with commas between the thousands. */
export const grouped = (value: number) => Math.round(value).toLocaleString("en-US");

/** A bar of this many characters, as a list to spread: `[====    ]`, or nothing for 0. */
export function barOf(share: number, columns: number): string[] {
  const filled = Math.round(Math.min(1, share) * columns);
  return columns > 0 ? [`[${"=".repeat(filled)}${" ".repeat(columns - filled)}]`] : [];
}

export class ProgressLine<State> {
  /** The clock. */
  protected readonly now: () => number;
  readonly #lineOf: (state: State, barColumns: number) => string;
  readonly #stream: ProgressStream;
  readonly #intervalMs: number;
  #shownMs = Number.NEGATIVE_INFINITY;
  #last: State | undefined;
  #lastIsShown = true;

  /** `lineOf` writes a state out, with a bar of `barColumns` characters. */
  constructor(lineOf: (state: State, barColumns: number) => string, options: ProgressLineOptions = {}) {
    const { stream = process.stderr, now = () => performance.now() } = options;
    this.#lineOf = lineOf;
    this.#stream = stream;
    this.#intervalMs = options.intervalMs ?? (stream.isTTY ? 100 : 5000);
    this.now = now;
  }

  /** Takes a state and shows it if the last line is old enough. */
  show(state: State): void {
    const now = this.now();
    this.#last = state;
    this.#lastIsShown = false;
    if (now - this.#shownMs >= this.#intervalMs) this.#write(state, now);
  }

  /** Writes a line of its own (an evaluation, a checkpoint) that stays; on a terminal the live line goes on below it. */
  note(text: string): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`${clearLine}${text}\n`);
    if (this.#last !== undefined) this.#write(this.#last, this.now());
  }

  /** Leaves the last state on the screen, with the cursor below it. */
  end(): void {
    if (this.#last !== undefined && !this.#lastIsShown) this.#write(this.#last, this.now());
    if (this.#stream.isTTY && this.#last !== undefined) this.#stream.write("\n");
    this.#last = undefined;
  }

  #write(state: State, now: number): void {
    this.#shownMs = now;
    this.#lastIsShown = true;
    if (!this.#stream.isTTY) {
      this.#stream.write(`${this.#lineOf(state, 0)}\n`);
      return;
    }
    const columns = (this.#stream.columns ?? 80) - 1;
    const withoutBar = this.#lineOf(state, 0);
    const barColumns = Math.min(30, columns - withoutBar.length - 3);
    const line = barColumns >= 5 ? this.#lineOf(state, barColumns) : withoutBar;
    this.#stream.write(clearLine + line.slice(0, columns));
  }
}
