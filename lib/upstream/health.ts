/** Bounds of the time between two attempts to reach an upstream, in ms. */
const SHORTEST = 50;
const LONGEST = 30_000;
/** Where nothing better is left, an upstream is tried this often all the same, in ms. */
const LAST_RESORT = 1000;
/** An answer is not called slow before this, in ms … */
const LEAST_SLOW = 50;
/** … nor, while there is nothing to compare it with, before this. */
const FIRST_SLOW = 250;
/** Latencies kept for the 95th percentile, and how often it is computed anew. */
const SAMPLES = 128;
const RECOMPUTE = 64;
/** And while there are few. */
const RECOMPUTE_AT_FIRST = 16;

/**
 * What traffic has taught about one upstream: how fast it answers, and if it could not be reached, when it is worth
 * another try: after a fifth of the time it has been away. A short outage is noticed to be over at once, a long one
 * costs little, and jitter keeps many proxies from coming back together. Times are in ms.
 */
export class Health {
  /** Smoothed time from query to answer. */
  latency = 0;
  /** When an unanswered query counts as slow: longer than 95 % of its like took. */
  slowAfter = FIRST_SLOW;
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;
  #awaySince: number | undefined;
  #awayAt = 0;
  #awayUntil = 0;

  answered(latency: number): void {
    this.latency = this.#count === 0 ? latency : this.latency + (latency - this.latency) / 8;
    this.#samples[this.#count++ % SAMPLES] = latency;
    const recompute = this.#count < SAMPLES ? RECOMPUTE_AT_FIRST : RECOMPUTE;
    if (this.#count % recompute === 0) this.slowAfter = Math.max(this.#percentile95(), LEAST_SLOW);
  }

  /** It could not be reached by an attempt that began then; one that took long has been a part of the wait. */
  failed(began: number): void {
    this.#awaySince ??= began;
    const wait = Math.min(Math.max((began - this.#awaySince) / 5, SHORTEST), LONGEST);
    this.#awayAt = began;
    this.#awayUntil = began + wait * (0.75 + Math.random() / 4);
  }

  /** It has been reached, or all that was held against it is void. */
  reached(): void {
    this.#awaySince = undefined;
    this.#awayUntil = 0;
  }

  /** Whether nothing speaks against reaching out for it. */
  isDue(now: number): boolean {
    return now >= this.#awayUntil;
  }

  /** Whether to try although it will hardly work: all others have failed. */
  isDueAsLastResort(now: number): boolean {
    return now >= Math.min(this.#awayUntil, this.#awayAt + LAST_RESORT);
  }

  #percentile95(): number {
    const sorted = this.#samples.slice(0, Math.min(this.#count, SAMPLES)).sort();
    return sorted[Math.floor(sorted.length * 0.95)]!;
  }
}
