// A seeded stream of random numbers whose whole state can be saved and put back (torch.Generator).

import { fromTypedArray } from "./creation.js";
import { type Device, type Handle, native } from "./native.js";
import { tidy } from "./scope.js";
import { Tensor } from "./tensor.js";

const collected = new FinalizationRegistry<Handle>((handle) => native.disposeGenerator(handle));

export class Generator {
  readonly handle: Handle;

  constructor(seed = 0, device: Device = "cpu") {
    this.handle = native.makeGenerator(seed, device);
    collected.register(this, this.handle);
  }

  /** Starts the stream anew. */
  manualSeed(seed: number): this {
    native.setSeed(this.handle, seed);
    return this;
  }

  /** The whole state (about 5 kB on the CPU); `setState` continues from it exactly. */
  getState(): Uint8Array {
    return tidy(() => new Tensor(native.generatorState(this.handle)).toTypedArray() as Uint8Array);
  }

  setState(state: Uint8Array): this {
    tidy(() => native.setGeneratorState(this.handle, fromTypedArray(state).handle));
    return this;
  }
}

/** Seeds libtorch's default generators, which ops without a generator of their own draw from. */
export function manualSeed(seed: number): void {
  native.manualSeed(seed);
}
