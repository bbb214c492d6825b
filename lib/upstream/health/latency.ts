/** An answer is not called slow before this, in ms … */
const LEAST_SLOW = 50;
/** … nor, while there is nothing to compare it with, before this. */
const FIRST_SLOW = 250;
/** Latencies kept for the 95th percentile, and how often it is computed anew. */
const SAMPLES = 128;
const RECOMPUTE = 64;
/** And while there are few. */
const RECOMPUTE_AT_FIRST = 16;

/** How fast one upstream answers, learned from its answers, late ones included. Times are in ms. */
export class Latency {
  /** Smoothed time from query to answer; 0 before the first. */
  smoothedMs = 0;
  /** When an unanswered query counts as slow: longer than 95 % of the latest answers took. */
  slowAfterMs = FIRST_SLOW;
  readonly #samples = new Float64Array(SAMPLES);
  #count = 0;

  /** Whether `slowAfter` is about this upstream yet. */
  get isLearned(): boolean {
    return this.#count >= RECOMPUTE_AT_FIRST;
  }

  add(latency: number): void {
    this.smoothedMs = this.#count === 0 ? latency : this.smoothedMs + (latency - this.smoothedMs) / 8;
    this.#samples[this.#count++ % SAMPLES] = latency;
    const recompute = this.#count < SAMPLES ? RECOMPUTE_AT_FIRST : RECOMPUTE;
    if (this.#count % recompute === 0) this.slowAfterMs = Math.max(this.#percentile95(), LEAST_SLOW);
  }

  #percentile95(): number {
    const sorted = this.#samples.slice(0, Math.min(this.#count, SAMPLES)).sort();
    return sorted[Math.floor(sorted.length * 0.95)]!;
  }
}
