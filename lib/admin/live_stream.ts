import type { Redaction } from "../observe/redaction.ts";
import type { Subscribers } from "../observe/subscribers.ts";
import { RecentQueries } from "./recent_queries.ts";
import { LiveRates } from "./live_rates.ts";
import { type Reported, statusReport } from "./status_report.ts";

/** How often those who look are told, in ms. */
const PERIOD = 1000;
/** Looks between two fadings of what was most frequent: each name and client halves in this many seconds. */
const FADE_EVERY = 60;
const MAX_LOOKING = 16;
/** Names and clients that are shown. */
const TOP = 10;

export interface EventStreamOptions extends Reported {
  readonly detail: Redaction;
  readonly observers: Subscribers;
  /** Brings up to date what a report is made of. */
  readonly refresh: () => Promise<void>;
  readonly now: () => number;
}

type Look = ReadableStreamDefaultController<Uint8Array>;

/** Server-sent events: a report each second to everybody who looks, made once for all, and not at all for nobody. */
export class EventStream implements Disposable {
  readonly #options: EventStreamOptions;
  /** Each with the client's address, the eldest first. */
  readonly #looking = new Map<Look, string>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #pace: LiveRates | undefined;
  #activity: RecentQueries | undefined;
  #looks = 0;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Reports for a client, until it has enough or `MAX_LOOKING` others have come since and it gives way to the last. */
  stream(address: string): ReadableStream<Uint8Array> {
    if (this.#looking.size >= MAX_LOOKING) this.#end(this.#mostDispensable());
    let look: Look | undefined;
    return new ReadableStream({
      start: (controller) => {
        look = controller;
        this.#looking.set(controller, address);
        if (this.#looking.size === 1) this.#begin();
        controller.enqueue(this.#message());
      },
      cancel: () => this.#leave(look!),
    });
  }

  [Symbol.dispose](): void {
    for (const look of [...this.#looking.keys()]) this.#end(look);
  }

  #end(look: Look): void {
    this.#leave(look);
    look.close();
  }

  /** The eldest of the client that has the most: so that no client keeps the others out. */
  #mostDispensable(): Look {
    const byClient = Map.groupBy(this.#looking, ([, address]) => address);
    const [[look]] = [...byClient.values()].reduce((most, each) =>
      each.length > most.length ? each : most
    ) as [
      [Look, string],
    ];
    return look;
  }

  #begin(): void {
    const { counters, observers, detail, now } = this.#options;
    this.#pace = new LiveRates(counters, now);
    this.#activity = new RecentQueries(detail, Date.now);
    observers.addPerQuery(this.#activity.observe);
    this.#timer = setInterval(() => void this.#tell(), PERIOD);
  }

  #leave(look: Look): void {
    this.#looking.delete(look);
    if (this.#looking.size > 0 || !this.#activity) return;
    clearInterval(this.#timer);
    this.#options.observers.remove(this.#activity.observe);
    this.#pace = this.#activity = undefined;
  }

  async #tell(): Promise<void> {
    await this.#options.refresh();
    if (!this.#activity) return; // nobody looks any more
    if (++this.#looks % FADE_EVERY === 0) this.#activity.decay();
    const message = this.#message();
    // Who cannot follow misses one: the next is as good.
    for (const look of this.#looking.keys()) if (look.desiredSize! > 0) look.enqueue(message);
  }

  #message(): Uint8Array {
    const activity = this.#activity!;
    const lists = { top: activity.top(TOP) ?? null, latest: activity.latest ?? null };
    const data = { ...statusReport(this.#options), now: this.#pace!.look(), ...lists };
    return utf8.encode(`data: ${JSON.stringify(data)}\n\n`);
  }
}

const utf8 = new TextEncoder();
