/** The state of the proxy as JSON, for programs (`/api/status`) and for the dashboard. Times are in ms. */

import { rcodeName } from "../dns/codes.ts";
import { type Counters, SOURCES, UpstreamCounters } from "../observe/counters.ts";
import { quantile } from "../observe/histogram.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import { byRcode } from "./live_rates.ts";

/** The sources of a report. */
export interface StatusSources {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  readonly cache: () => CacheStatus | undefined;
  readonly residentBytes: () => number;
  readonly queryLogDropped: () => number;
  readonly version: string;
}

export function statusReport(from: StatusSources) {
  const { counters } = from;
  const rcodes = byRcode(counters).map((count, rcode) => [rcodeName(rcode), count] as const);
  return {
    version: from.version,
    time: Date.now(),
    startedAt: Math.round(performance.timeOrigin),
    residentBytes: from.residentBytes(),
    answers: {
      byRcode: Object.fromEntries(rcodes.filter(([, count]) => count > 0)),
      bySource: Object.fromEntries(SOURCES.map((source, i) => [source, counters.durations[i]!.count])),
    },
    deniedQueries: counters.denials,
    rejectedMessages: rejectionsByRcode(counters),
    rejectedConnections: counters.rejectedConnections,
    validations: validationsByStatus(counters),
    retries: counters.retries,
    queryLogDropped: from.queryLogDropped(),
    internalErrors: counters.internalErrors,
    cache: from.cache() ?? null,
    upstreams: from.upstreams().map((status) => reportUpstream(status, counters.upstreams.get(status.label))),
  };
}

export type StatusReport = ReturnType<typeof statusReport>;

function reportUpstream(status: UpstreamStatus, counters = new UpstreamCounters()) {
  const { exchanges, handshakes, closed, failures } = counters;
  return {
    ...status,
    lastError: status.lastError ?? null,
    latencyMs: status.latencyMs ?? null,
    certificateExpires: status.certificateExpires ?? null,
    exchanges: exchanges.count,
    p95: quantile(exchanges.counts, 0.95) ?? null,
    handshake: quantile(handshakes.counts, 0.5) ?? null,
    opened: handshakes.count,
    closed: Object.fromEntries(closed),
    failures: sum(failures),
  };
}

/** Rejected messages of all transports by RCODE, or "none" without a response. */
function rejectionsByRcode({ rejections }: Counters): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { rcode, count } of rejections) sums[rcode] = (sums[rcode] ?? 0) + count;
  return sums;
}

/** Responses validated, by status; empty without `--dnssec validate`. */
function validationsByStatus({ validations }: Counters): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [key, count] of validations) {
    const [status = ""] = key.split("/");
    sums[status] = (sums[status] ?? 0) + count;
  }
  return sums;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, each) => sum + each, 0);
}
