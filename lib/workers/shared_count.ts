/** Counts in memory that all threads share. */

import type { SharedCount } from "../frontend/tcp/connection_limit.ts";

/** One count per thread, so that a restarted thread leaves nothing stale in a sum. */
export type SharedCounts = Int32Array<SharedArrayBuffer>;

export function sharedCounts(threads: number): SharedCounts {
  return new Int32Array(new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT));
}

/** The number of TCP clients of each thread. Threads may exceed the limit slightly; none rejects a client below it. */
export class AtomicSharedCount implements SharedCount {
  readonly #counts: SharedCounts;
  readonly #index: number;

  /** @param thread the number of this thread, from 1 */
  constructor(counts: SharedCounts, thread: number) {
    this.#counts = counts;
    this.#index = thread - 1;
  }

  get share(): number {
    return 1 / this.#counts.length;
  }

  get elsewhere(): number {
    let sum = 0;
    for (let i = 0; i < this.#counts.length; i++) if (i !== this.#index) sum += Atomics.load(this.#counts, i);
    return sum;
  }

  update(own: number): void {
    Atomics.store(this.#counts, this.#index, own);
  }
}
