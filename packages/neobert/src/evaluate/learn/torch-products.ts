// Matrix products by libtorch. Operands are tensors over the arrays' own memory, so only results are copied. Throws where
// libtorch or the addon is missing.

import { type Floats, type Matrix, type Products, rowsOf } from "./products.js";

/** Loads libtorch and uses it. */
export async function torchProducts(): Promise<Products> {
  const { fromTypedArray, noGrad, tidy } = await import("@neobert/torch");
  return {
    name: "libtorch",
    matrix<T extends Floats>(data: T, d: number): Matrix<T> {
      const n = rowsOf(data, d);
      const tensor = tidy(() => fromTypedArray(data, { shape: [n, d] }));
      const compute = (
        product: (other: ReturnType<typeof fromTypedArray>) => typeof tensor,
        other: T,
        columns: number,
      ) =>
        tidy(() =>
          noGrad(() => {
            const operand = fromTypedArray(other, { shape: [rowsOf(other, columns), columns] });
            return product(operand).toTypedArray() as T;
          }),
        );
      return {
        shape: [n, d],
        timesTransposed: (other) => compute((b) => tensor.matmul(b.transpose(0, 1)), other, d),
        transposedTimes: (other) => compute((b) => b.transpose(0, 1).matmul(tensor), other, other.length / n),
        dispose: () => tensor.dispose(),
      };
    },
  };
}
