// What a person sees of a run, on stderr: on a terminal one line that is rewritten (bar, loss, tokens/s, learning rate,
// time left, where the time goes), elsewhere a plain line every few seconds. Nothing here is needed for the run itself.

/** Seconds of a step by what they were spent on, in the order shown. */
export interface StepSeconds {
  data: number;
  forward: number;
  backward: number;
  optimizer: number;
}

export interface ProgressState {
  /** Steps done, and steps of the whole run. */
  step: number;
  steps: number;
  /** Mean cross entropy of the target tokens, in nats. */
  loss: number;
  learningRate: number;
  tokensPerSecond: number;
  /** Estimated seconds to the end; undefined before the first step has been timed. */
  secondsLeft?: number | undefined;
  seconds: StepSeconds;
}

/** Seconds as `45s`, `12:05` or `3:07:09`; days are counted in hours. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  if (hours > 0) return `${hours}:${two(minutes)}:${two(rest)}`;
  return minutes > 0 ? `${minutes}:${two(rest)}` : `${rest}s`;
}

const grouped = (value: number) => Math.round(value).toLocaleString("en-US");

function timeSplit(seconds: StepSeconds): string {
  const entries = Object.entries(seconds) as [keyof StepSeconds, number][];
  const total = entries.reduce((sum, [, value]) => sum + value, 0);
  return entries.map(([name, value]) => `${name} ${total > 0 ? Math.round((100 * value) / total) : 0}%`).join(" ");
}

/**
 * One line for a state, with a bar of `barColumns` characters (none for 0):
 * `1,200/5,000 [=====>    ] 24% loss 5.123 33,012 tok/s lr 4.0e-3 12:05 left | data 1% forward 33% ...`
 */
export function progressLine(state: ProgressState, barColumns = 0): string {
  const { step, steps, loss, learningRate, tokensPerSecond, secondsLeft, seconds } = state;
  const done = Math.min(1, step / steps);
  const filled = Math.round(done * barColumns);
  const bar = barColumns > 0 ? [`[${"=".repeat(filled)}${" ".repeat(barColumns - filled)}]`] : [];
  const numbers = [
    `${grouped(step)}/${grouped(steps)}`,
    ...bar,
    `${Math.floor(100 * done)}%`,
    `loss ${loss.toFixed(3)}`,
    `${grouped(tokensPerSecond)} tok/s`,
    `lr ${learningRate.toExponential(1)}`,
    ...(secondsLeft === undefined ? [] : [`${formatDuration(secondsLeft)} left`]),
  ];
  return `${numbers.join(" ")} | ${timeSplit(seconds)}`;
}

/** The part of stderr that is used; tests hand in their own. */
export interface ProgressStream {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

export interface ProgressOptions {
  /** Steps of the whole run. */
  steps: number;
  /** Steps already done when this run starts (resume). */
  startStep?: number;
  stream?: ProgressStream;
  /** Least milliseconds between two lines; 100 on a terminal, 5,000 elsewhere. */
  intervalMs?: number;
  /** Clock in milliseconds. */
  now?: () => number;
}

const clearLine = "\r\u001b[K";

export class Progress {
  private readonly steps: number;
  private readonly startStep: number;
  private readonly stream: ProgressStream;
  private readonly intervalMs: number;
  private readonly now: () => number;
  private readonly startMs: number;
  private shownMs = Number.NEGATIVE_INFINITY;
  private last: ProgressState | undefined;
  private lastIsShown = true;

  constructor(options: ProgressOptions) {
    const { steps, startStep = 0, stream = process.stderr, now = () => performance.now() } = options;
    this.steps = steps;
    this.startStep = startStep;
    this.stream = stream;
    this.intervalMs = options.intervalMs ?? (stream.isTTY ? 100 : 5000);
    this.now = now;
    this.startMs = now();
  }

  /** Takes the state after a step and shows it if the last line is old enough. */
  update(state: Omit<ProgressState, "steps" | "secondsLeft">): void {
    const now = this.now();
    const stepsTaken = state.step - this.startStep;
    const secondsTaken = (now - this.startMs) / 1000;
    const secondsLeft = stepsTaken > 0 ? (secondsTaken / stepsTaken) * (this.steps - state.step) : undefined;
    this.last = { ...state, steps: this.steps, secondsLeft };
    this.lastIsShown = false;
    if (now - this.shownMs >= this.intervalMs) this.show(now);
  }

  /** Writes a line of its own (an evaluation, a checkpoint) that stays; on a terminal the live line goes on below it. */
  note(text: string): void {
    if (!this.stream.isTTY) {
      this.stream.write(`${text}\n`);
      return;
    }
    this.stream.write(`${clearLine}${text}\n`);
    if (this.last) this.show(this.now());
  }

  /** Leaves the last state on the screen, with the cursor below it. */
  end(): void {
    if (this.last && !this.lastIsShown) this.show(this.now());
    if (this.stream.isTTY && this.last) this.stream.write("\n");
    this.last = undefined;
  }

  private show(now: number): void {
    if (!this.last) return;
    this.shownMs = now;
    this.lastIsShown = true;
    if (!this.stream.isTTY) {
      this.stream.write(`${progressLine(this.last)}\n`);
      return;
    }
    const columns = (this.stream.columns ?? 80) - 1;
    const withoutBar = progressLine(this.last);
    const barColumns = Math.min(30, columns - withoutBar.length - 3);
    const line = barColumns >= 5 ? progressLine(this.last, barColumns) : withoutBar;
    this.stream.write(clearLine + line.slice(0, columns));
  }
}
