/** The subscribers to events, and which of them need one event per query. */

import type { Event, Observe } from "../core/event.ts";

export class Subscribers {
  #all: readonly Observe[];
  /** Subscribers that need one event per query. Without any, cache hits are reported in batches. */
  readonly #perQuery = new Set<Observe>();
  #onPerQueryChange = () => {};

  constructor(...subscribers: Observe[]) {
    this.#all = subscribers;
  }

  /** Whether a subscriber needs one event per query. */
  get needPerQueryEvents(): boolean {
    return this.#perQuery.size > 0;
  }

  /** Passes an event to all subscribers. */
  readonly observe = (event: Event): void => {
    for (const each of this.#all) each(event);
  };

  add(observe: Observe): void {
    this.#all = [...this.#all, observe];
  }

  /** Adds a subscriber that needs one event per query. */
  addPerQuery(observe: Observe): void {
    this.add(observe);
    this.setPerQuery(observe, true);
  }

  /** Sets whether a subscriber needs one event per query. */
  setPerQuery(observe: Observe, isNeeded: boolean): void {
    if (isNeeded) this.#perQuery.add(observe);
    else this.#perQuery.delete(observe);
    this.#onPerQueryChange();
  }

  remove(observe: Observe): void {
    this.#all = this.#all.filter((each) => each !== observe);
    this.setPerQuery(observe, false);
  }

  /** Sets the listener that is called whenever `needPerQueryEvents` may have changed. */
  onPerQueryChange(listener: () => void): void {
    this.#onPerQueryChange = listener;
  }
}
