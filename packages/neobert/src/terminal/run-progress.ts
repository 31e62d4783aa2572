// What a person sees of a run, on stderr: on a terminal one line that is rewritten (bar, loss, tokens/s, learning rate,
// time left, where the time goes), elsewhere a plain line every few seconds. Nothing here is needed for the run itself.

import { barOf, formatDuration, grouped, ProgressLine, type ProgressLineOptions } from "./progress-line.js";

export { formatDuration };

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
  const numbers = [
    `${grouped(step)}/${grouped(steps)}`,
    ...barOf(done, barColumns),
    `${Math.floor(100 * done)}%`,
    `loss ${loss.toFixed(3)}`,
    `${grouped(tokensPerSecond)} tok/s`,
    `lr ${learningRate.toExponential(1)}`,
    ...(secondsLeft === undefined ? [] : [`${formatDuration(secondsLeft)} left`]),
  ];
  return `${numbers.join(" ")} | ${timeSplit(seconds)}`;
}

export interface ProgressOptions extends ProgressLineOptions {
  /** Steps of the whole run; without it the states' own. */
  steps?: number;
  /** Steps already done when this run starts (resume). */
  startStep?: number;
}

export class Progress extends ProgressLine<ProgressState> {
  readonly #steps: number | undefined;
  readonly #startStep: number;
  readonly #startMs: number;

  constructor({ steps, startStep = 0, ...options }: ProgressOptions) {
    super(progressLine, options);
    this.#steps = steps;
    this.#startStep = startStep;
    this.#startMs = this.now();
  }

  /** Takes the state after a step and shows it if the last line is old enough. */
  update(state: Omit<ProgressState, "secondsLeft">): void {
    const steps = this.#steps ?? state.steps;
    const stepsTaken = state.step - this.#startStep;
    const secondsTaken = (this.now() - this.#startMs) / 1000;
    const secondsLeft = stepsTaken > 0 ? (secondsTaken / stepsTaken) * (steps - state.step) : undefined;
    this.show({ ...state, steps, secondsLeft });
  }
}
