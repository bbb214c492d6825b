import type { Event, Observe } from "../core/event.ts";

/** Passes each event on to everybody who watches; who looks only now and then costs nothing in between. */
export class Subscribers {
  #watching: readonly Observe[];
  /** Those of them who want to know of each answer. */
  readonly #perQuery = new Set<Observe>();
  #onCuriosity = () => {};

  constructor(...watching: Observe[]) {
    this.#watching = watching;
  }

  /** Whether each answer is to be told of; else some may be told of together. */
  get needPerQueryEvents(): boolean {
    return this.#perQuery.size > 0;
  }

  readonly observe = (event: Event): void => {
    for (const each of this.#watching) each(event);
  };

  add(observe: Observe): void {
    this.#watching = [...this.#watching, observe];
  }

  /** Adds somebody who wants to know of each answer. */
  addPerQuery(observe: Observe): void {
    this.#perQuery.add(observe);
    this.add(observe);
    this.#onCuriosity();
  }

  remove(observe: Observe): void {
    this.#watching = this.#watching.filter((each) => each !== observe);
    if (this.#perQuery.delete(observe)) this.#onCuriosity();
  }

  /** Calls `listener` whenever `wantEach` may have changed. */
  onCuriosity(listener: () => void): void {
    this.#onCuriosity = listener;
  }
}
