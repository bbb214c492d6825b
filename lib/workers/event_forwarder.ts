import type { Event } from "../core/event.ts";
import { type FlatEvent, flatten } from "./event_codec.ts";

/** What the main thread tells of itself, and would say as often as there are threads; or what is only counted. */
const UNTOLD: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>([
  "listening",
  "skipped",
  "network changed",
  "host error",
  "list loaded",
  "hits",
]);

/** Those that strangers bring about, one for each packet: only where somebody wants each of them. */
const FREQUENT: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>(["answered", "rejected", "denied"]);

/** Others that strangers can cause at will. */
const DROPPABLE: ReadonlySet<Event["kind"]> = new Set<Event["kind"]>(["connection rejected", "validated"]);

/** Events that may wait to be taken: a second of many queries. What a busy main thread cannot take is left out. */
const MAX_UNTAKEN = 20_000;

/** A worker's events on their way to the main thread: those of one turn of the event loop together. */
export class EventForwarder {
  /** Whether somebody wants to know of each answer. */
  wantsEach = false;
  /** Answers that the main thread was not told of, though it wants each. */
  lost = 0;
  readonly #post: (events: FlatEvent[]) => void;
  #gathered: FlatEvent[] = [];
  #untaken = 0;
  /** Upstreams that have not answered on their newest connection yet. */
  readonly #fresh = new Set<string>();

  constructor(post: (events: FlatEvent[]) => void) {
    this.#post = post;
  }

  readonly observe = (event: Event): void => {
    if (UNTOLD.has(event.kind)) return;
    if (event.kind === "connection opened") this.#fresh.add(event.upstream);
    // The first answer on a connection proves that the upstream is there; more of them would be one for each query.
    if (event.kind === "exchanged" && !this.#fresh.delete(event.upstream)) return;
    if (FREQUENT.has(event.kind) && !this.wantsEach) return;
    // Each thread counts its own; the log names bogus answers only.
    if (event.kind === "validated" && event.status !== "bogus") return;
    if (this.#untaken >= MAX_UNTAKEN && (FREQUENT.has(event.kind) || DROPPABLE.has(event.kind))) {
      if (event.kind === "answered") this.lost++;
      return;
    }
    this.#untaken++;
    if (this.#gathered.length === 0) queueMicrotask(() => this.#flush());
    this.#gathered.push(flatten(event));
  };

  /** Told how many events have been taken. */
  took(events: number): void {
    this.#untaken -= events;
  }

  #flush(): void {
    const events = this.#gathered;
    this.#gathered = [];
    this.#post(events);
  }
}
