/** So many a second, and as many at once as the burst has. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * Buckets of tokens, by number. A bucket is one number, the time at which it will be full again (the "theoretical arrival
 * time" of GCRA, ITU-T I.371), so that nothing has to be done as time goes by.
 */
export class TokenBuckets {
  /** In ms, as all times here. */
  readonly #interval: number;
  readonly #longest: number;
  readonly #fullAt: Float64Array;

  constructor({ perSecond, burst }: Rate, buckets: number) {
    this.#interval = 1000 / perSecond;
    // The slack is for the rounding of many additions, and a millionth of a token.
    this.#longest = (burst + 1e-6) * this.#interval;
    this.#fullAt = new Float64Array(buckets);
  }

  /** Takes a token if one is left, and nothing if not: who asks too much goes on getting what he is due. */
  take(bucket: number, now: number): boolean {
    const fullAt = Math.max(this.#fullAt[bucket]!, now) + this.#interval;
    if (fullAt - now > this.#longest) return false;
    this.#fullAt[bucket] = fullAt;
    return true;
  }

  fullAt(bucket: number): number {
    return this.#fullAt[bucket]!;
  }

  fill(bucket: number): void {
    this.#fullAt[bucket] = 0;
  }
}
