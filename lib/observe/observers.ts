import type { Event, Observe } from "./event.ts";

/** Passes each event on to everybody who watches; who looks only now and then costs nothing in between. */
export class Observers {
  #watching: readonly Observe[];

  constructor(...watching: Observe[]) {
    this.#watching = watching;
  }

  readonly observe = (event: Event): void => {
    for (const each of this.#watching) each(event);
  };

  add(observe: Observe): void {
    this.#watching = [...this.#watching, observe];
  }

  remove(observe: Observe): void {
    this.#watching = this.#watching.filter((each) => each !== observe);
  }
}
