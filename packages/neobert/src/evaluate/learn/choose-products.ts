// Which matrix products evaluators use: libtorch's where it is set up, else plain loops.

import { type Products, plainProducts } from "./products.js";

/** How an import fails where libtorch was never set up: no package, or an addon that nobody compiled. */
const NOT_SET_UP = new Set(["ERR_MODULE_NOT_FOUND", "ERR_ADDON_NOT_BUILT"]);

let chosen: Promise<Products> | undefined;

/**
 * libtorch's products where it is set up, else plain loops.
 * @throws an Error where the addon is there but cannot be used: plain loops would take its place for hours unsaid
 */
export function chooseProducts(): Promise<Products> {
  chosen ??= import("./torch-products.js").then(({ torchProducts }) => productsOrLoops(torchProducts));
  return chosen;
}

/** What `load` gives, or plain loops where it says that libtorch is not set up. */
export async function productsOrLoops(load: () => Promise<Products>): Promise<Products> {
  try {
    return await load();
  } catch (error) {
    if (NOT_SET_UP.has((error as NodeJS.ErrnoException).code ?? "")) return plainProducts;
    throw error;
  }
}
