/** Counters of all threads together: the first thread counts its own events and collects the counts of the others. */

import { Counters, type Counts } from "./counters.ts";
import type { Histogram } from "./histogram.ts";

/** State of another thread, as the first thread collects it. */
export interface ThreadStatus {
  readonly counts: Counts;
  /** Memory used by the thread's JavaScript heap. */
  readonly heapBytes: number;
  /** Delay of the thread's event loop. */
  readonly lag: Pick<Histogram, "counts" | "sum">;
  /** Answers that did not reach the query log. */
  readonly lost: number;
}

/** Sum of the counters of all threads, as of the last `refresh`. */
export class ThreadTotals {
  /** Counters of this thread alone. */
  readonly own = new Counters();
  /** Counters of all threads. With a single thread they are the thread's own, and always current. */
  readonly counters: Counters;
  readonly #collect: (() => Promise<readonly ThreadStatus[]>) | undefined;
  #others: readonly ThreadStatus[] = [];

  /** @param collect requests the state of the other threads; undefined if there are none */
  constructor(collect: (() => Promise<readonly ThreadStatus[]>) | undefined) {
    this.#collect = collect;
    this.counters = collect ? new Counters() : this.own;
  }

  /** State of the other threads as of the last `refresh`. */
  get others(): readonly ThreadStatus[] {
    return this.#others;
  }

  readonly refresh = async (): Promise<void> => {
    if (!this.#collect) return;
    this.#others = await this.#collect();
    this.counters.replaceWithSum([this.own, ...this.#others].map(({ counts }) => counts));
  };
}
