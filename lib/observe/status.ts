/** How things stand now, as metrics, health and dashboard show it: numbers that are read, and nothing to change. */
import type { Counts } from "./counters.ts";
import type { Histogram } from "./histogram.ts";

export interface UpstreamStatus {
  readonly label: string;
  /** "untried" until it was reached or failed for the first time. */
  readonly state: "untried" | "up" | "down";
  /** Why it is down, in words. */
  readonly lastError: string | undefined;
  /** Whether none of its keys is pinned, so that it is not asked before a restart, a reload or another network. */
  readonly isRuledOut?: boolean;
  /** Smoothed time from query to answer, in ms; undefined before the first. */
  readonly latency: number | undefined;
  readonly inFlight: number;
  readonly connections: number;
  /** When the certificate it last showed expires, in ms since 1970, where that can be known. */
  readonly certificateExpires: number | undefined;
}

export interface CacheStatus {
  readonly entries: number;
  readonly octets: number;
  readonly maxOctets: number;
  /** Entries that had to go before their time. */
  readonly evictions: number;
}

/** Another thread that answers as well. */
export interface ThreadStatus {
  readonly counts: Counts;
  /** JavaScript's part of the memory. */
  readonly heapOctets: number;
  /** How late its event loop runs. */
  readonly lag: Pick<Histogram, "counts" | "sum">;
  /** Answers that the query log was not told of. */
  readonly lost: number;
}
