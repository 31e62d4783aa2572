// Matrix products by libtorch. Operands are tensors over the arrays' own memory, so only results are copied. Throws where
// libtorch or the addon is missing.

import { type Floats, type Matrix, type Products, rowsOf } from "./products.js";

/** Multiplications of a product below which waking other threads takes longer than they save. */
const SMALL = 2 ** 20;

/** Loads libtorch and uses it. */
export async function torchProducts(): Promise<Products> {
  const { fromTypedArray, getNumThreads, noGrad, setNumThreads, tidy } = await import("@neobert/torch");
  const onOneThread = <R>(work: () => R): R => {
    const threads = getNumThreads();
    setNumThreads(1);
    try {
      return work();
    } finally {
      setNumThreads(threads);
    }
  };
  return {
    name: "libtorch",
    matrix<T extends Floats>(data: T, d: number): Matrix<T> {
      const n = rowsOf(data, d);
      const tensor = tidy(() => fromTypedArray(data, { shape: [n, d] }));
      /** A product of the matrix with m rows or columns of `other`. */
      const compute = (
        other: T,
        shape: [number, number],
        m: number,
        product: (other: ReturnType<typeof fromTypedArray>) => typeof tensor,
      ) => {
        const work = () => tidy(() => noGrad(() => product(fromTypedArray(other, { shape })).toTypedArray() as T));
        return data.length * m < SMALL ? onOneThread(work) : work();
      };
      return {
        shape: [n, d],
        timesTransposed(other) {
          const m = rowsOf(other, d);
          return compute(other, [m, d], m, (b) => tensor.matmul(b.transpose(0, 1)));
        },
        transposedTimes(other) {
          const m = other.length / n;
          return compute(other, [n, m], m, (b) => b.transpose(0, 1).matmul(tensor));
        },
        dispose: () => tensor.dispose(),
      };
    },
  };
}
