// What SOAP (soap.ts) keeps and computes for a parameter, by its shape alone: without libtorch, for plans of memory and for
// dividing parameters among ranks.

export interface PreconditionOptions {
  /** Steps between new bases, 10 unless said otherwise. */
  preconditionFrequency?: number | undefined;
  /** The longest side of a matrix that has a basis, 10,000 unless said otherwise. */
  maxPrecondDim?: number | undefined;
}

export const preconditionDefaults = { preconditionFrequency: 10, maxPrecondDim: 10_000 };

/** The dimensions of a parameter that have a preconditioner: a matrix's sides that are not too long, none of a vector. */
export function preconditionedDims(shape: readonly number[], options: PreconditionOptions = {}): number[] {
  const { maxPrecondDim = preconditionDefaults.maxPrecondDim } = options;
  if (shape.length < 2) return [];
  return shape.flatMap((size, dim) => (size <= maxPrecondDim ? [dim] : []));
}

/** Values of a parameter's state: two means of its size, and two square matrices for each side with a preconditioner. */
export function soapStateSize(shape: readonly number[], options: PreconditionOptions = {}): number {
  const sides = preconditionedDims(shape, options).map((dim) => shape[dim]!);
  return 2 * sizeOf(shape) + 2 * sides.reduce((sum, side) => sum + side ** 2, 0);
}

/**
 * Floating-point operations of a parameter's step, averaged over `preconditionFrequency` steps: to divide work by. The first
 * step's eigenvectors are not counted.
 */
export function soapStepFlops(shape: readonly number[], options: PreconditionOptions = {}): number {
  const { preconditionFrequency = preconditionDefaults.preconditionFrequency } = options;
  const size = sizeOf(shape);
  const elementwise = 15 * size;
  return preconditionedDims(shape, options).reduce((sum, dim) => {
    const side = shape[dim]!;
    const product = 2 * size * side; // into the basis, back out of it, and the gradient with itself
    const refresh = 2 * product + (2 + 8 / 3) * side ** 3; // the mean out of the old basis and into the new; power step, QR
    return sum + 3 * product + refresh / preconditionFrequency;
  }, elementwise);
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
