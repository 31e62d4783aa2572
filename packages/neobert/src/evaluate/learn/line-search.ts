// The line search of Moré and Thuente (1994, "Line search algorithms with guaranteed sufficient decrease", ACM TOMS 20), with
// the constants and safeguards of MINPACK-2 that L-BFGS-B uses. A bracket around a minimum is kept and shrunk by steps of
// cubic and quadratic interpolation, until the strong Wolfe conditions hold.

/** A step, the function's value there and its slope along the line. */
export interface LinePoint {
  step: number;
  value: number;
  slope: number;
}

const DECREASE = 1e-3;
const CURVATURE = 0.9;
const BRACKET_TOLERANCE = 0.1;

/**
 * The first point that decreases enough and is flat enough, or where the bracket cannot shrink further the last one tried;
 * undefined after `maxEvaluations`. `start` is the point of step 0, its slope below 0.
 */
export function lineSearch(
  evaluate: (step: number) => LinePoint,
  start: LinePoint,
  firstStep: number,
  options: { maxStep: number; maxEvaluations: number },
): LinePoint | undefined {
  const { maxStep, maxEvaluations } = options;
  const slopeTest = DECREASE * start.slope;
  let best = start;
  let other = start;
  let isBracketed = false;
  // Until a point has decreased enough and rises again, the function less the line of sufficient decrease is minimized.
  let isFirstStage = true;
  let [width, widthBefore] = [maxStep, 2 * maxStep];
  let [low, high] = [0, 5 * firstStep];
  let step = firstStep;
  for (let count = 0; count < maxEvaluations; count++) {
    const tried = evaluate(step);
    const limit = start.value + step * slopeTest;
    const decreases = tried.value <= limit;
    if (isFirstStage && decreases && tried.slope >= 0) isFirstStage = false;
    const isFlat = Math.abs(tried.slope) <= CURVATURE * -start.slope;
    const isStuck = isBracketed && (step <= low || step >= high || high - low <= BRACKET_TOLERANCE * high);
    const isAtEnd = step === maxStep && decreases && tried.slope <= slopeTest;
    if ((decreases && isFlat) || isStuck || isAtEnd) return tried;

    const shift = isFirstStage && tried.value <= best.value && !decreases ? slopeTest : 0;
    const tilt = (point: LinePoint, by: number): LinePoint => ({
      step: point.step,
      value: point.value - by * point.step,
      slope: point.slope - by,
    });
    const next = interpolate(tilt(best, shift), tilt(other, shift), tilt(tried, shift), isBracketed, low, high);
    [best, other] = [tilt(next.best, -shift), tilt(next.other, -shift)];
    isBracketed = next.isBracketed;
    step = next.step;

    if (isBracketed) {
      const span = Math.abs(other.step - best.step);
      if (span >= 0.66 * widthBefore) step = best.step + 0.5 * (other.step - best.step);
      widthBefore = width;
      width = span;
      low = Math.min(best.step, other.step);
      high = Math.max(best.step, other.step);
    } else {
      low = step + 1.1 * (step - best.step);
      high = step + 4 * (step - best.step);
    }
    step = Math.min(Math.max(step, 0), maxStep);
    if (isBracketed && (step <= low || step >= high || high - low <= BRACKET_TOLERANCE * high)) step = best.step;
  }
  return undefined;
}

/** The next step, and the bracket with `tried` taken in: its best point and the other end. */
function interpolate(
  best: LinePoint,
  other: LinePoint,
  tried: LinePoint,
  isBracketed: boolean,
  low: number,
  high: number,
): { best: LinePoint; other: LinePoint; isBracketed: boolean; step: number } {
  const turns = tried.slope * Math.sign(best.slope) < 0;
  // The step where the slope, taken as linear between the two points, is 0.
  const secant = tried.step + (tried.slope / (tried.slope - best.slope)) * (best.step - tried.step);
  const distance = (step: number) => Math.abs(step - tried.step);

  if (tried.value > best.value) {
    const cubic = cubicMinimum(best, tried);
    const span = tried.step - best.step;
    const quadratic = best.step + (best.slope / ((best.value - tried.value) / span + best.slope) / 2) * span;
    const isCubicCloser = Math.abs(cubic - best.step) < Math.abs(quadratic - best.step);
    const step = isCubicCloser ? cubic : cubic + (quadratic - cubic) / 2;
    return { best, other: tried, isBracketed: true, step };
  }
  if (turns) {
    const cubic = cubicMinimum(tried, best);
    const step = distance(cubic) > distance(secant) ? cubic : secant;
    return { best: tried, other: best, isBracketed: true, step };
  }
  const isForward = tried.step > best.step;
  let step: number;
  if (Math.abs(tried.slope) < Math.abs(best.slope)) {
    const cubic = cubicBeyond(tried, best) ?? (isForward ? high : low);
    if (isBracketed) {
      step = distance(cubic) < distance(secant) ? cubic : secant;
      const bound = tried.step + 0.66 * (other.step - tried.step);
      step = isForward ? Math.min(bound, step) : Math.max(bound, step);
    } else {
      step = distance(cubic) > distance(secant) ? cubic : secant;
      step = Math.max(low, Math.min(high, step));
    }
  } else if (isBracketed) step = cubicMinimum(tried, other);
  else step = isForward ? high : low;
  return { best: tried, other, isBracketed, step };
}

/** Where the cubic through the values and slopes of two points is least, measured from `a`. */
function cubicMinimum(a: LinePoint, b: LinePoint): number {
  const { theta, root } = cubicOf(a, b);
  const gamma = b.step < a.step ? -root : root;
  const ratio = (gamma - a.slope + theta) / (gamma - a.slope + gamma + b.slope);
  return a.step + ratio * (b.step - a.step);
}

/** The cubic's minimum if it lies beyond `a`, seen from `b`. */
function cubicBeyond(a: LinePoint, b: LinePoint): number | undefined {
  const { theta, root } = cubicOf(a, b);
  const gamma = a.step > b.step ? -root : root;
  const ratio = (gamma - a.slope + theta) / (gamma + (b.slope - a.slope) + gamma);
  return ratio < 0 && gamma !== 0 ? a.step + ratio * (b.step - a.step) : undefined;
}

function cubicOf(a: LinePoint, b: LinePoint): { theta: number; root: number } {
  const theta = (3 * (a.value - b.value)) / (b.step - a.step) + a.slope + b.slope;
  const scale = Math.max(Math.abs(theta), Math.abs(a.slope), Math.abs(b.slope));
  const square = (theta / scale) ** 2 - (a.slope / scale) * (b.slope / scale);
  return { theta, root: scale * Math.sqrt(Math.max(0, square)) };
}
