/** The latency of one upstream, measured from its answers, late ones included. Times are in ms. */

/** Minimum of `slowAfterMs`. */
const MIN_SLOW_MS = 50;
/** `slowAfterMs` before there are samples. */
const FIRST_SLOW_MS = 250;
/** Number of samples from which the 95th percentile is computed. */
const SAMPLES = 128;
/** Number of new samples after which the percentile is computed again; fewer while there are few samples. */
const RECOMPUTE = 64;
const RECOMPUTE_AT_FIRST = 16;

export class Latency {
  /** Smoothed time from query to answer; 0 before the first answer. */
  smoothedMs = 0;
  /** A query is slow after this time: the 95th percentile of the latest answers. */
  slowAfterMs = FIRST_SLOW_MS;
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;

  /** Whether `slowAfterMs` is measured, not a default. */
  get isLearned(): boolean {
    return this.#count >= RECOMPUTE_AT_FIRST;
  }

  add(latency: number): void {
    this.smoothedMs = this.#count === 0 ? latency : this.smoothedMs + (latency - this.smoothedMs) / 8;
    this.#samples[this.#count++ % SAMPLES] = latency;
    const recompute = this.#count < SAMPLES ? RECOMPUTE_AT_FIRST : RECOMPUTE;
    if (this.#count % recompute === 0) this.slowAfterMs = Math.max(this.#percentile95(), MIN_SLOW_MS);
  }

  #percentile95(): number {
    const sorted = this.#samples.slice(0, Math.min(this.#count, SAMPLES)).sort();
    return sorted[Math.floor(sorted.length * 0.95)]!;
  }
}
