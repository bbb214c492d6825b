/** How upstreams and cache are doing, for metrics, readiness and dashboard: values to read, nothing to change. */

export interface UpstreamStatus {
  readonly label: string;
  /** "untried" until it was reached or failed for the first time. */
  readonly state: "untried" | "up" | "down";
  /** Why it is down, in words. */
  readonly lastError: string | undefined;
  /** Whether none of its keys is pinned, so that it is not asked before a restart, a reload or another network. */
  readonly isRuledOut?: boolean;
  /** Smoothed time from query to answer, in ms; undefined before the first. */
  readonly latencyMs: number | undefined;
  readonly inFlight: number;
  readonly connections: number;
  /** When the certificate it last showed expires, in ms since 1970, where that can be known. */
  readonly certificateExpires: number | undefined;
}

export interface CacheStatus {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Entries that had to go before their time. */
  readonly evictions: number;
}
