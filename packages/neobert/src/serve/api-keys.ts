// Whether a request brings one of the keys: as `Authorization: Bearer KEY` or bare. All keys are compared, each in the same
// time whatever is given, so the time of an answer tells nothing about them.

import { createHash, timingSafeEqual } from "node:crypto";

export class ApiKeys {
  readonly #hashes: Buffer[];

  constructor(keys: readonly string[]) {
    const bad = keys.find((key) => !/^[\x21-\x7e]+$/.test(key));
    if (bad !== undefined) {
      throw new Error("serve: expected API keys of visible ASCII characters without spaces, got one that is not");
    }
    this.#hashes = keys.map(hashOf);
  }

  /** True where there are no keys, or `authorization` is one. */
  allows(authorization: string | null): boolean {
    if (this.#hashes.length === 0) return true;
    const given = hashOf((authorization ?? "").replace(/^bearer +/i, "").trim());
    return this.#hashes.reduce((found, hash) => timingSafeEqual(hash, given) || found, false);
  }
}

function hashOf(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
