// The public surface of `neobert`: using models. Making them is `neobert/train`.

export { type Filling, FillMask } from "./encoder/fill-mask.js";
