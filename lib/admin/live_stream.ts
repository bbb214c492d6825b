/** The dashboard's live data as server-sent events. While no dashboard is open, it collects nothing. */

import type { Redaction } from "../observe/redaction.ts";
import type { Subscribers } from "../observe/subscribers.ts";
import { RecentQueries } from "./recent_queries.ts";
import { LiveRates } from "./live_rates.ts";
import { statusReport, type StatusSources } from "./status_report.ts";

/** Time between two reports. */
const PERIOD_MS = 1000;
/** Reports between two decays of the most frequent names and clients, which halve their counts. */
const DECAY_REPORTS = 60;
const MAX_STREAMS = 16;
/** Names and clients in a report. */
const TOP_ROWS = 10;

export interface EventStreamOptions extends StatusSources {
  readonly redaction: Redaction;
  readonly subscribers: Subscribers;
  /** Updates the sources of a report. */
  readonly refresh: () => Promise<void>;
  readonly now: () => number;
}

type Stream = ReadableStreamDefaultController<Uint8Array>;

/** Server-sent events: one report per second, encoded once for all open streams. */
export class EventStream implements Disposable {
  readonly #options: EventStreamOptions;
  /** Open streams with the addresses of their clients, the oldest first. */
  readonly #streams = new Map<Stream, string>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #rates: LiveRates | undefined;
  #recentQueries: RecentQueries | undefined;
  #reports = 0;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Opens a stream for a client. At `MAX_STREAMS` it closes the oldest stream of the client with the most. */
  open(address: string): ReadableStream<Uint8Array> {
    if (this.#streams.size >= MAX_STREAMS) this.#close(this.#findEvictable());
    let stream: Stream | undefined;
    return new ReadableStream({
      start: (controller) => {
        stream = controller;
        this.#streams.set(controller, address);
        if (this.#streams.size === 1) this.#startReports();
        controller.enqueue(this.#encodeReport());
      },
      cancel: () => this.#remove(stream!),
    });
  }

  [Symbol.dispose](): void {
    for (const stream of [...this.#streams.keys()]) this.#close(stream);
  }

  #close(stream: Stream): void {
    this.#remove(stream);
    stream.close();
  }

  /** The oldest stream of the client with the most streams, so that no client displaces the others. */
  #findEvictable(): Stream {
    const byClient = Map.groupBy(this.#streams, ([, address]) => address);
    const [[stream]] = [...byClient.values()].reduce((most, each) =>
      each.length > most.length ? each : most
    ) as [[Stream, string]];
    return stream;
  }

  #startReports(): void {
    const { counters, subscribers, redaction, now } = this.#options;
    this.#rates = new LiveRates(counters, now);
    this.#recentQueries = new RecentQueries(redaction, Date.now);
    subscribers.addPerQuery(this.#recentQueries.observe);
    this.#timer = setInterval(() => void this.#sendReport(), PERIOD_MS);
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream);
    if (this.#streams.size > 0 || !this.#recentQueries) return;
    clearInterval(this.#timer);
    this.#options.subscribers.remove(this.#recentQueries.observe);
    this.#rates = this.#recentQueries = undefined;
  }

  async #sendReport(): Promise<void> {
    await this.#options.refresh();
    if (!this.#recentQueries) return; // the last stream was closed meanwhile
    if (++this.#reports % DECAY_REPORTS === 0) this.#recentQueries.decay();
    const report = this.#encodeReport();
    // A client that reads too slowly skips reports.
    for (const stream of this.#streams.keys()) if (stream.desiredSize! > 0) stream.enqueue(report);
  }

  #encodeReport(): Uint8Array {
    const recentQueries = this.#recentQueries!;
    const lists = { top: recentQueries.top(TOP_ROWS) ?? null, latest: recentQueries.latest ?? null };
    const data = { ...statusReport(this.#options), now: this.#rates!.next(), ...lists };
    return utf8.encode(`data: ${JSON.stringify(data)}\n\n`);
  }
}

const utf8 = new TextEncoder();
