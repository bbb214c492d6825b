import { rcodeName } from "../dns/codes.ts";
import { type Counters, SOURCES, UpstreamCounters } from "../observe/counters.ts";
import { quantile } from "../observe/histogram.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";
import { byRcode } from "./live_rates.ts";

/** What a report is made from. */
export interface Reported {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  readonly cache: () => CacheStatus | undefined;
  readonly residentOctets: () => number;
  readonly queryLogDropped: () => number;
  readonly version: string;
}

/** How things stand, for programs at `/api/status` and for the dashboard. Times are in ms. */
export function statusReport(of: Reported) {
  const { counters } = of;
  const rcodes = byRcode(counters).map((count, rcode) => [rcodeName(rcode), count] as const);
  return {
    version: of.version,
    time: Date.now(),
    startedAt: Math.round(performance.timeOrigin),
    residentOctets: of.residentOctets(),
    answers: {
      byRcode: Object.fromEntries(rcodes.filter(([, count]) => count > 0)),
      bySource: Object.fromEntries(SOURCES.map((source, i) => [source, counters.durations[i]!.count])),
    },
    /** Clients that may not ask, or ask too much; what was no query to resolve, by what its senders were told. */
    denied: counters.denials,
    turnedAway: turnedAway(counters),
    retries: counters.retries,
    tcpClientsRefused: counters.clientsRefused,
    queryLogDropped: of.queryLogDropped(),
    defects: counters.defects,
    cache: of.cache() ?? null,
    upstreams: of.upstreams().map((status) => upstream(status, counters.upstreams.get(status.label))),
  };
}

export type StatusReport = ReturnType<typeof statusReport>;

function upstream(status: UpstreamStatus, counters = new UpstreamCounters()) {
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

/** Over all transports, by RCODE, or "none" for silence. */
function turnedAway({ turnedAway }: Counters): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { rcode, count } of turnedAway) sums[rcode] = (sums[rcode] ?? 0) + count;
  return sums;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, each) => sum + each, 0);
}
