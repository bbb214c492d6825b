import { rcodeName } from "../dns/codes.ts";
import type { Source, Trace } from "../core/resolver.ts";
import type { Answered, ConnectionClosed, Denied, Event, Hits, RejectedMessage } from "../core/event.ts";
import { Histogram } from "./histogram.ts";

export const TRANSPORTS = ["udp", "tcp"] as const;
/** Where answers come from, each with its place in the counts. */
const PLACES: Readonly<Record<Source, number>> = {
  upstream: 0,
  cache: 1,
  stale: 2,
  local: 3,
  blocked: 4,
  filtered: 5,
};
export const SOURCES = Object.keys(PLACES) as Source[];
/** RCODEs with a count of their own: all that are assigned for DNS itself (RFC 6895 §2.3), and the last for others. */
export const RCODES = 24;

/** A histogram, as far as it can be posted to another thread. */
type Times = Pick<Histogram, "counts" | "sum">;

/** All that `Counters` has counted, as plain things that can be posted to another thread. */
export interface Counts {
  readonly answers: Float64Array;
  readonly durations: readonly Times[];
  readonly turnedAway: ReadonlyMap<string, number>;
  readonly denials: ReadonlyMap<string, number>;
  readonly upstreams: ReadonlyMap<string, UpstreamCounts>;
  readonly retries: number;
  readonly hedges: number;
  readonly clientsRefused: number;
  readonly socketTrouble: { readonly udp: number; readonly tcp: number };
  readonly defects: number;
  readonly fileErrors: ReadonlyMap<string, number>;
  readonly reloads: ReadonlyMap<string, number>;
  readonly validations: ReadonlyMap<string, number>;
}

interface UpstreamCounts {
  readonly exchanges: Times;
  readonly handshakes: Times;
  readonly closed: ReadonlyMap<string, number>;
  readonly failures: ReadonlyMap<string, number>;
}

/** What one upstream has come to. */
export class UpstreamCounters {
  readonly exchanges = new Histogram();
  readonly handshakes = new Histogram();
  /** By the word for the failure, or "done" where nothing was lost. */
  readonly closed = new Map<string, number>();
  /** Queries that failed here for good, by phase and failure. */
  readonly failures = new Map<string, number>();
}

/** How often `Denied` came with this transport, reason and answer. */
export interface Denials {
  readonly transport: string;
  readonly reason: string;
  /** "told" or "silence". */
  readonly answer: string;
  readonly count: number;
}

/** How often `TurnedAway` came with this transport and RCODE. */
export interface TurnedAways {
  readonly transport: string;
  /** Its name; "none" for silence. */
  readonly rcode: string;
  readonly count: number;
}

/**
 * Counts what happens, for whoever asks later. It runs for every query, so that an answer costs a few additions: numbers
 * at known places, and no labels put together.
 */
export class Counters {
  /** By transport, source and RCODE: see `answersAt`. */
  readonly answers = new Float64Array(TRANSPORTS.length * SOURCES.length * RCODES);
  readonly durations: readonly Histogram[] = SOURCES.map(() => new Histogram());
  readonly #turnedAwayCounts = new Map<string, number>();
  readonly #denialCounts = new Map<string, number>();
  readonly upstreams = new Map<string, UpstreamCounters>();
  /** Second and later attempts of answered queries: because one had failed, or because one took long. */
  retries = 0;
  hedges = 0;
  clientsRefused = 0;
  readonly socketTrouble = { udp: 0, tcp: 0 };
  defects = 0;
  /** Files that could not be read or written, by what they are for. */
  readonly fileErrors = new Map<string, number>();
  /** By "success" and "failure". */
  readonly reloads = new Map<string, number>();
  /** By status and the code of its extended error, as "bogus/7". */
  readonly validations = new Map<string, number>();

  readonly observe = (event: Event): void => {
    switch (event.kind) {
      case "answered":
        return this.#answered(event);
      case "hits":
        return this.#hits(event);
      case "exchanged":
        return this.#of(event.upstream).exchanges.add(event.milliseconds);
      case "rejected":
        return this.#turnedAway(event);
      case "denied":
        return this.#denied(event);
      case "connection opened":
        return this.#of(event.upstream).handshakes.add(event.milliseconds);
      case "connection closed":
        return this.#closed(event);
      case "connection rejected":
        return void this.clientsRefused++;
      case "socket error":
        return void this.socketTrouble[event.transport]++;
      case "internal error":
        return void this.defects++;
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

  answersAt(transport: number, source: number, rcode: number): number {
    return this.answers[place(transport, source, rcode)]!;
  }

  /** One for each kind that has occurred. */
  get turnedAway(): TurnedAways[] {
    return [...this.#turnedAwayCounts].map(([key, count]) => {
      const [transport = "", rcode = ""] = key.split("/");
      return { transport, rcode, count };
    });
  }

  /** Likewise. */
  get denials(): Denials[] {
    return [...this.#denialCounts].map(([key, count]) => {
      const [transport = "", reason = "", answer = ""] = key.split("/");
      return { transport, reason, answer, count };
    });
  }

  get counts(): Counts {
    const { answers, durations, upstreams, retries, hedges, clientsRefused, socketTrouble, defects } = this;
    const { fileErrors, reloads, validations } = this;
    const [turnedAway, denials] = [this.#turnedAwayCounts, this.#denialCounts];
    const numbers = { retries, hedges, clientsRefused, socketTrouble, defects };
    return {
      answers,
      durations,
      turnedAway,
      denials,
      upstreams,
      fileErrors,
      reloads,
      validations,
      ...numbers,
    };
  }

  /** Forgets what it has counted for what several threads have. */
  replaceWithSum(threads: readonly Counts[]): void {
    this.answers.fill(0);
    for (const each of this.durations) each.clear();
    const maps = [
      this.#turnedAwayCounts,
      this.#denialCounts,
      this.fileErrors,
      this.reloads,
      this.validations,
    ];
    for (const each of [...maps, this.upstreams]) each.clear();
    this.retries =
      this.hedges =
      this.clientsRefused =
      this.defects =
        0;
    this.socketTrouble.udp = this.socketTrouble.tcp = 0;
    for (const each of threads) this.#add(each);
  }

  #add(counts: Counts): void {
    counts.answers.forEach((count, i) => this.answers[i]! += count);
    counts.durations.forEach((times, i) => this.durations[i]!.addAll(times));
    addAll(this.#turnedAwayCounts, counts.turnedAway);
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
    this.clientsRefused += counts.clientsRefused;
    for (const transport of TRANSPORTS) this.socketTrouble[transport] += counts.socketTrouble[transport];
    this.defects += counts.defects;
  }

  #answered({ query, rcode, milliseconds, error }: Answered): void {
    const { client, trace } = query;
    const source = PLACES[trace.source];
    this.answers[place(client.transport === "udp" ? 0 : 1, source, rcode)]!++;
    this.durations[source]!.add(milliseconds);
    if (trace.attempts > 1) this.#again(trace);
    if (error) increase(this.#of(error.upstream).failures, `${error.phase}/${error.failure}`);
  }

  #hits({ transport, rcode, count, milliseconds }: Hits): void {
    this.answers[place(transport === "udp" ? 0 : 1, PLACES.cache, rcode)]! += count;
    this.durations[PLACES.cache]!.add(milliseconds, count);
  }

  #again({ attempts, hedges = 0 }: Trace): void {
    this.hedges += hedges;
    this.retries += Math.max(0, attempts - 1 - hedges); // a hedge that found no connection was no attempt
  }

  #turnedAway({ client, rcode }: RejectedMessage): void {
    increase(
      this.#turnedAwayCounts,
      `${client.transport}/${rcode === undefined ? "none" : rcodeName(rcode)}`,
    );
  }

  #denied({ client, reason, answered: told }: Denied): void {
    increase(this.#denialCounts, `${client.transport}/${reason}/${told ? "told" : "silence"}`);
  }

  #closed({ upstream, error }: ConnectionClosed): void {
    increase(this.#of(upstream).closed, error?.failure ?? "done");
  }

  #of(upstream: string): UpstreamCounters {
    let counters = this.upstreams.get(upstream);
    if (!counters) this.upstreams.set(upstream, counters = new UpstreamCounters());
    return counters;
  }
}

function place(transport: number, source: number, rcode: number): number {
  return (transport * SOURCES.length + source) * RCODES + Math.min(rcode, RCODES - 1);
}

function increase(counts: Map<string, number>, key: string, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}

function addAll(counts: Map<string, number>, others: ReadonlyMap<string, number>): void {
  for (const [key, count] of others) increase(counts, key, count);
}
