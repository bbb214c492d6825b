/**
 * Counters of this thread's events. `observe` runs for every query, so an answer costs a few additions into typed arrays
 * and no label strings. Metrics and status reports read the counters later.
 */

import { rcodeName } from "../dns/codes.ts";
import type { Source, Trace } from "../core/resolver.ts";
import type { Answered, ConnectionClosed, Denied, Event, Hits, RejectedMessage } from "../core/event.ts";
import { Histogram } from "./histogram.ts";

export const TRANSPORTS = ["udp", "tcp"] as const;
/** Sources of answers, each with its index in the counts. */
const SOURCE_INDEX: Readonly<Record<Source, number>> = {
  upstream: 0,
  cache: 1,
  stale: 2,
  local: 3,
  blocked: 4,
  filtered: 5,
};
export const SOURCES = Object.keys(SOURCE_INDEX) as Source[];
/** Number of RCODE counts: one for each RCODE assigned to DNS itself (RFC 6895 §2.3), and the last for all others. */
export const RCODES = 24;

/** A histogram as plain data that can be posted to another thread. */
type PlainHistogram = Pick<Histogram, "counts" | "sum">;

/** The contents of `Counters` as plain data that can be posted to another thread. */
export interface Counts {
  readonly answers: Float64Array;
  readonly durations: readonly PlainHistogram[];
  readonly rejections: ReadonlyMap<string, number>;
  readonly denials: ReadonlyMap<string, number>;
  readonly upstreams: ReadonlyMap<string, UpstreamCounts>;
  readonly retries: number;
  readonly hedges: number;
  readonly rejectedConnections: number;
  readonly socketErrors: { readonly udp: number; readonly tcp: number };
  readonly internalErrors: number;
  readonly fileErrors: ReadonlyMap<string, number>;
  readonly reloads: ReadonlyMap<string, number>;
  readonly validations: ReadonlyMap<string, number>;
}

interface UpstreamCounts {
  readonly exchanges: PlainHistogram;
  readonly handshakes: PlainHistogram;
  readonly closed: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
}

/** Counters of one upstream. */
export class UpstreamCounters {
  readonly exchanges = new Histogram();
  readonly handshakes = new Histogram();
  /** Closed connections by the word of the failure, or "done" if no query was lost. */
  readonly closed = new Map<string, number>();
  /** Queries that finally failed at this upstream, by `phase/failure`. */
  readonly failures = new Map<string, number>();
}

/** Number of `Denied` events with these properties. */
export interface DenialCount {
  readonly transport: string;
  readonly reason: string;
  /** The response of the client: "refused", "truncated" or "none". */
  readonly response: string;
  readonly count: number;
}

/** Number of `RejectedMessage` events with these properties. */
export interface RejectionCount {
  readonly transport: string;
  /** Name of the RCODE; "none" if there was no response. */
  readonly rcode: string;
  readonly count: number;
}

export class Counters {
  /** By transport, source and RCODE, see `answersAt`. */
  readonly answers = new Float64Array(TRANSPORTS.length * SOURCES.length * RCODES);
  /** By source. */
  readonly durations: readonly Histogram[] = SOURCES.map(() => new Histogram());
  readonly #rejectionCounts = new Map<string, number>();
  readonly #denialCounts = new Map<string, number>();
  readonly upstreams = new Map<string, UpstreamCounters>();
  /** Attempts of answered queries after a failed attempt. */
  retries = 0;
  /** Attempts of answered queries beside a slow attempt. */
  hedges = 0;
  rejectedConnections = 0;
  readonly socketErrors = { udp: 0, tcp: 0 };
  internalErrors = 0;
  /** Files that could not be read or written, by use. */
  readonly fileErrors = new Map<string, number>();
  /** By "success" and "failure". */
  readonly reloads = new Map<string, number>();
  /** DNSSEC validations by `status/code`, where the code is that of the extended error, as in "bogus/7". */
  readonly validations = new Map<string, number>();

  readonly observe = (event: Event): void => {
    switch (event.kind) {
      case "answered":
        return this.#countAnswer(event);
      case "hits":
        return this.#countHits(event);
      case "exchanged":
        return this.#of(event.upstream).exchanges.add(event.milliseconds);
      case "rejected":
        return this.#countRejection(event);
      case "denied":
        return this.#countDenial(event);
      case "connection opened":
        return this.#of(event.upstream).handshakes.add(event.milliseconds);
      case "connection closed":
        return this.#countClosed(event);
      case "connection rejected":
        return void this.rejectedConnections++;
      case "socket error":
        return void this.socketErrors[event.transport]++;
      case "internal error":
        return void this.internalErrors++;
      case "list reload failed":
        return increase(this.fileErrors, "list");
      case "cache file error":
        return increase(this.fileErrors, "cache");
      case "query log error":
        return increase(this.fileErrors, "query log");
      case "validated":
        return increase(this.validations, `${event.status}/${event.code ?? ""}`);
      case "reload":
        return increase(this.reloads, event.failure === undefined ? "success" : "failure");
    }
  };

  /** Number of answers for indices into `TRANSPORTS` and `SOURCES` and an RCODE. */
  answersAt(transport: number, source: number, rcode: number): number {
    return this.answers[answerIndex(transport, source, rcode)]!;
  }

  /** One element for each combination that has occurred. */
  get rejections(): RejectionCount[] {
    return [...this.#rejectionCounts].map(([key, count]) => {
      const [transport = "", rcode = ""] = key.split("/");
      return { transport, rcode, count };
    });
  }

  /** One element for each combination that has occurred. */
  get denials(): DenialCount[] {
    return [...this.#denialCounts].map(([key, count]) => {
      const [transport = "", reason = "", response = ""] = key.split("/");
      return { transport, reason, response, count };
    });
  }

  get counts(): Counts {
    return {
      answers: this.answers,
      durations: this.durations,
      rejections: this.#rejectionCounts,
      denials: this.#denialCounts,
      upstreams: this.upstreams,
      retries: this.retries,
      hedges: this.hedges,
      rejectedConnections: this.rejectedConnections,
      socketErrors: this.socketErrors,
      internalErrors: this.internalErrors,
      fileErrors: this.fileErrors,
      reloads: this.reloads,
      validations: this.validations,
    };
  }

  /** Replaces its contents with the sum of the counts of several threads. */
  replaceWithSum(threads: readonly Counts[]): void {
    this.answers.fill(0);
    for (const each of this.durations) each.clear();
    const maps = [this.#rejectionCounts, this.#denialCounts, this.fileErrors, this.reloads, this.validations];
    for (const each of [...maps, this.upstreams]) each.clear();
    this.retries = 0;
    this.hedges = 0;
    this.rejectedConnections = 0;
    this.internalErrors = 0;
    for (const transport of TRANSPORTS) this.socketErrors[transport] = 0;
    for (const each of threads) this.#add(each);
  }

  #add(counts: Counts): void {
    counts.answers.forEach((count, i) => this.answers[i]! += count);
    counts.durations.forEach((duration, i) => this.durations[i]!.addAll(duration));
    addAll(this.#rejectionCounts, counts.rejections);
    addAll(this.#denialCounts, counts.denials);
    addAll(this.fileErrors, counts.fileErrors);
    addAll(this.reloads, counts.reloads);
    addAll(this.validations, counts.validations);
    for (const [label, { exchanges, handshakes, closed, failures }] of counts.upstreams) {
      const own = this.#of(label);
      own.exchanges.addAll(exchanges);
      own.handshakes.addAll(handshakes);
      addAll(own.closed, closed);
      addAll(own.failures, failures);
    }
    this.retries += counts.retries;
    this.hedges += counts.hedges;
    this.rejectedConnections += counts.rejectedConnections;
    for (const transport of TRANSPORTS) this.socketErrors[transport] += counts.socketErrors[transport];
    this.internalErrors += counts.internalErrors;
  }

  #countAnswer({ query, rcode, milliseconds, error }: Answered): void {
    const { client, trace } = query;
    const source = SOURCE_INDEX[trace.source];
    this.answers[answerIndex(client.transport === "udp" ? 0 : 1, source, rcode)]!++;
    this.durations[source]!.add(milliseconds);
    if (trace.attempts > 1) this.#countAttempts(trace);
    if (error) increase(this.#of(error.upstream).failures, `${error.phase}/${error.failure}`);
  }

  #countHits({ transport, rcode, count, milliseconds }: Hits): void {
    this.answers[answerIndex(transport === "udp" ? 0 : 1, SOURCE_INDEX.cache, rcode)]! += count;
    this.durations[SOURCE_INDEX.cache]!.add(milliseconds, count);
  }

  #countAttempts({ attempts, hedges = 0 }: Trace): void {
    this.hedges += hedges;
    // A hedge without a connection counts as a hedge, but not as an attempt.
    this.retries += Math.max(0, attempts - 1 - hedges);
  }

  #countRejection({ client, rcode }: RejectedMessage): void {
    const response = rcode === undefined ? "none" : rcodeName(rcode);
    increase(this.#rejectionCounts, `${client.transport}/${response}`);
  }

  #countDenial({ client: { transport }, reason, answered }: Denied): void {
    // The rate limit answers a UDP query with a truncated response, so that the client retries over TCP.
    const response = !answered
      ? "none"
      : reason === "rate limit" && transport === "udp"
      ? "truncated"
      : "refused";
    increase(this.#denialCounts, `${transport}/${reason}/${response}`);
  }

  #countClosed({ upstream, error }: ConnectionClosed): void {
    increase(this.#of(upstream).closed, error?.failure ?? "done");
  }

  #of(upstream: string): UpstreamCounters {
    let counters = this.upstreams.get(upstream);
    if (!counters) this.upstreams.set(upstream, counters = new UpstreamCounters());
    return counters;
  }
}

function answerIndex(transport: number, source: number, rcode: number): number {
  return (transport * SOURCES.length + source) * RCODES + Math.min(rcode, RCODES - 1);
}

function increase(counts: Map<string, number>, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function addAll(counts: Map<string, number>, others: ReadonlyMap<string, number>): void {
  for (const [key, count] of others) increase(counts, key, count);
}
