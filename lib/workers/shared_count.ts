import type { SharedCount } from "../frontend/tcp/connection_limit.ts";

/** One count for each thread, in memory that all of them have: one that begins anew leaves no stale part of a sum. */
export type SharedCounts = Int32Array<SharedArrayBuffer>;

export function sharedCounts(threads: number): SharedCounts {
  return new Int32Array(new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT));
}

/** How many TCP clients each thread has, so that the bound for all holds nearly, and nobody is refused below it. */
export class AtomicSharedCount implements SharedCount {
  readonly #counts: SharedCounts;
  readonly #own: number;

  /** @param thread its number, from 1 */
  constructor(counts: SharedCounts, thread: number) {
    this.#counts = counts;
    this.#own = thread - 1;
  }

  get share(): number {
    return 1 / this.#counts.length;
  }

  get elsewhere(): number {
    let sum = 0;
    for (let i = 0; i < this.#counts.length; i++) if (i !== this.#own) sum += Atomics.load(this.#counts, i);
    return sum;
  }

  update(own: number): void {
    Atomics.store(this.#counts, this.#own, own);
  }
}
