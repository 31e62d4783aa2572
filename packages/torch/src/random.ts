// A seeded stream of random numbers whose whole state can be saved and put back (torch.Generator).

import { type Device, type Handle, native } from "./native.js";

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
    return disposing(native.generatorState(this.handle), (state) => {
      const bytes = new Uint8Array(native.shape(state)[0]!);
      native.copyTo(state, bytes);
      return bytes;
    });
  }

  setState(state: Uint8Array): this {
    disposing(native.borrow(state, [state.length], "uint8"), (bytes) => native.setGeneratorState(this.handle, bytes));
    return this;
  }
}

// Not a Tensor, whose methods take generators.
function disposing<T>(tensor: Handle, use: (tensor: Handle) => T): T {
  try {
    return use(tensor);
  } finally {
    native.dispose(tensor);
  }
}

/** Seeds libtorch's default generators, which ops without a generator of their own draw from. */
export const manualSeed: (seed: number) => void = native.manualSeed;
