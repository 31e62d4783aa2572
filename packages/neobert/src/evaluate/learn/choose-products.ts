// Which matrix products evaluators use: libtorch's where it is installed, else plain loops.

import { type Products, plainProducts } from "./products.js";

let chosen: Promise<Products> | undefined;

/** libtorch's products where it is installed, else plain loops. */
export function chooseProducts(): Promise<Products> {
  chosen ??= import("./torch-products.js").then(({ torchProducts }) => torchProducts()).catch(() => plainProducts);
  return chosen;
}
