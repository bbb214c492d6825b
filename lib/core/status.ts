/** Status of upstreams and cache, for metrics, readiness and dashboard. Read-only values. */

export interface UpstreamStatus {
  readonly label: string;
  /** "untried" until the first success or failure. */
  readonly state: "untried" | "up" | "down";
  /** The error that made it "down". */
  readonly lastError: string | undefined;
  /** Whether none of its keys is pinned. It is then not asked until a restart, a reload or a change of the network. */
  readonly isRuledOut?: boolean;
  /** Smoothed time from query to response; undefined before the first response. */
  readonly latencyMs: number | undefined;
  readonly inFlight: number;
  readonly connections: number;
  /** Expiry of its last certificate, in ms since 1970; undefined if unknown. */
  readonly certificateExpires: number | undefined;
}

export interface CacheStatus {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  /** Number of entries that were removed before they expired. */
  readonly evictions: number;
}
