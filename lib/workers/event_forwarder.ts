/** Sends a worker's events to the first thread. */

import type { Event } from "../core/event.ts";
import { type FlatEvent, flatten } from "./event_codec.ts";

/** Events that the first thread reports for all threads, and events that are only counted. */
const NOT_FORWARDED: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>([
  "listening",
  "skipped",
  "network changed",
  "host error",
  "list loaded",
  "hits",
]);

/** Events that any client can cause with each packet. They are forwarded only for subscribers that need each of them. */
const PER_PACKET: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>(["answered", "rejected", "denied"]);

/** Further events that any client can cause at will. */
const DROPPABLE: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>(["connection rejected", "validated"]);

/** Bound of events that the first thread has not acknowledged: a second of many queries. Events beyond it are dropped. */
const MAX_UNACKNOWLEDGED = 20_000;

/** Posts the events of one turn of the event loop together. Bounds the queue of a busy first thread. */
export class EventForwarder {
  /** Whether subscribers need one event per query. */
  perQuery = false;
  /** Number of dropped `answered` events. */
  lost = 0;
  readonly #post: (events: FlatEvent[]) => void;
  #batch: FlatEvent[] = [];
  #unacknowledged = 0;
  /** Upstreams without an answer on their newest connection. */
  readonly #unproven = new Set<string>();

  constructor(post: (events: FlatEvent[]) => void) {
    this.#post = post;
  }

  readonly observe = (event: Event): void => {
    if (NOT_FORWARDED.has(event.kind)) return;
    if (event.kind === "connection opened") this.#unproven.add(event.upstream);
    // The first answer on a connection shows that the upstream works. Further answers would be one event per query.
    if (event.kind === "exchanged" && !this.#unproven.delete(event.upstream)) return;
    // Each thread counts its validations. The log needs bogus answers only.
    if (event.kind === "validated" && event.status !== "bogus") return;
    const isPerPacket = PER_PACKET.has(event.kind);
    if (isPerPacket && !this.perQuery) return;
    const isFull = this.#unacknowledged >= MAX_UNACKNOWLEDGED;
    if (isFull && (isPerPacket || DROPPABLE.has(event.kind))) {
      if (event.kind === "answered") this.lost++;
      return;
    }
    this.#unacknowledged++;
    if (this.#batch.length === 0) queueMicrotask(() => this.#flush());
    this.#batch.push(flatten(event));
  };

  /** Records that the first thread has handled this number of events. */
  acknowledge(events: number): void {
    this.#unacknowledged -= events;
  }

  #flush(): void {
    const events = this.#batch;
    this.#batch = [];
    this.#post(events);
  }
}
