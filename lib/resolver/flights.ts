import type { Message } from "../dns/message.ts";
import type { Query } from "./resolver.ts";

/** A question that is being asked. */
export interface Flight {
  /** Whose deadline the exchange has. */
  readonly query: Query;
  /** Of question and tag. */
  readonly hash: number;
  readonly tag: number;
  /** What becomes of it, for all who ask. */
  response: Promise<Message>;
  /** The table's. */
  next: Flight | undefined;
}

/** A power of two. With as many questions under way as there may be, a few share one. */
const BUCKETS = 4096;

/**
 * Questions that are being asked, by hash. Not a Map, for the reason that `InFlight` has: what comes and goes all the
 * time would live on in the copies that a Map makes of itself.
 */
export class Flights<Each extends Flight = Flight> {
  readonly #buckets = new Array<Each | undefined>(BUCKETS).fill(undefined);

  /** The one that asks the same. */
  find({ message }: Query, tag: number, hash: number): Each | undefined {
    for (let flight = this.#buckets[hash & BUCKETS - 1]; flight; flight = flight.next as Each | undefined) {
      const isSame = flight.hash === hash && flight.tag === tag && flight.query.message.sameQuestion(message);
      if (isSame) return flight;
    }
    return undefined;
  }

  add(flight: Each): void {
    const bucket = flight.hash & BUCKETS - 1;
    flight.next = this.#buckets[bucket];
    this.#buckets[bucket] = flight;
  }

  remove(flight: Each): void {
    const bucket = flight.hash & BUCKETS - 1;
    let before: Each | undefined;
    let each = this.#buckets[bucket];
    while (each && each !== flight) [before, each] = [each, each.next as Each | undefined];
    if (before) before.next = flight.next;
    else this.#buckets[bucket] = flight.next as Each | undefined;
    flight.next = undefined; // or what is gone would hold what comes
  }
}
