import { Counters } from "./counters.ts";
import type { ThreadStatus } from "./thread_status.ts";

/** What all threads together have come to: this one is counted here, the others are asked now and then. */
export class ThreadTotals {
  /** Of this thread alone. */
  readonly own = new Counters();
  /** Of all threads, as of the last refresh; where there is only this one, up to date at any time. */
  readonly counters: Counters;
  readonly #ask: (() => Promise<readonly ThreadStatus[]>) | undefined;
  #others: readonly ThreadStatus[] = [];

  /** @param ask what the other threads have come to; undefined where there are none */
  constructor(ask: (() => Promise<readonly ThreadStatus[]>) | undefined) {
    this.#ask = ask;
    this.counters = ask ? new Counters() : this.own;
  }

  get others(): readonly ThreadStatus[] {
    return this.#others;
  }

  readonly refresh = async (): Promise<void> => {
    if (!this.#ask) return;
    this.#others = await this.#ask();
    this.counters.replaceWithSum([this.own, ...this.#others].map(({ counts }) => counts));
  };
}
