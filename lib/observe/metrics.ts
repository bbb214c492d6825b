/** All metrics of the proxy itself: name, help text, and the source of the values. Names follow Prometheus conventions. */

import { rcodeName } from "../dns/codes.ts";
import {
  type Counters,
  type DenialCount,
  RCODES,
  type RejectionCount,
  SOURCES,
  TRANSPORTS,
  type UpstreamCounters,
} from "./counters.ts";
import { Exposition, type HistogramSample, type Sample, unlabelled } from "./prometheus.ts";
import type { Histogram } from "./histogram.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";

export interface ObservedState {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  /** Returns undefined without a cache. */
  readonly cache: () => CacheStatus | undefined;
  /** Number of lines that the query log dropped. */
  readonly queryLogDropped: () => number;
  readonly version: string;
}

export function metrics(state: ObservedState): Exposition {
  const exposition = new Exposition();
  exposeQueries(exposition, state.counters);
  exposeProcess(exposition, state);
  exposeUpstreamCounters(exposition, state.counters);
  exposeUpstreamStatus(exposition, state);
  exposeCache(exposition, state);
  return exposition;
}

function exposeQueries(to: Exposition, counters: Counters): void {
  to.counter(
    "dot_proxy_queries_total",
    "Queries answered, by transport, source and RCODE.",
    () => answers(counters),
  );
  to.histogram(
    "dot_proxy_query_duration_seconds",
    "Time from a query to its response, by source.",
    () => SOURCES.map((source, i) => ({ labels: { source }, histogram: counters.durations[i]! })),
  );
  to.counter(
    "dot_proxy_rejected_messages_total",
    "Messages rejected without forwarding, by RCODE of the response.",
    () => counters.rejections.map(countSample),
  );
  to.counter(
    "dot_proxy_denied_queries_total",
    "Queries denied by client rules or the rate limit, by reason and response.",
    () => counters.denials.map(countSample),
  );
  to.counter(
    "dot_proxy_dnssec_validations_total",
    "Responses validated, by status and by the code of the extended DNS error (RFC 8914).",
    () => splitKeys(counters.validations, (status, code) => ({ status, code })),
  );
  to.counter(
    "dot_proxy_query_retries_total",
    "Attempts made because an attempt of the same query had failed.",
    () => unlabelled(counters.retries),
  );
  to.counter(
    "dot_proxy_query_hedges_total",
    "Attempts at another upstream because the first was slow.",
    () => unlabelled(counters.hedges),
  );
}

function exposeProcess(to: Exposition, { counters, queryLogDropped, version }: ObservedState): void {
  to.gauge("dot_proxy_build_info", "Versions of the program and of Deno; the value is always 1.", () => [
    { labels: { version, deno: Deno.version.deno }, value: 1 },
  ]);
  to.counter(
    "dot_proxy_rejected_connections_total",
    "TCP connections rejected because a connection limit was reached.",
    () => unlabelled(counters.rejectedConnections),
  );
  to.counter(
    "dot_proxy_socket_errors_total",
    "Errors of listening sockets.",
    () => TRANSPORTS.map((transport) => ({ labels: { transport }, value: counters.socketErrors[transport] })),
  );
  to.counter(
    "dot_proxy_internal_errors_total",
    "Exceptions caused by bugs in the program; the log has the details.",
    () => unlabelled(counters.internalErrors),
  );
  to.counter(
    "dot_proxy_file_errors_total",
    "Files that could not be read or written, by use.",
    () => [...counters.fileErrors].map(([use, value]) => ({ labels: { use }, value })),
  );
  to.counter(
    "dot_proxy_reloads_total",
    "Reloads of the configuration, by result.",
    () => [...counters.reloads].map(([result, value]) => ({ labels: { result }, value })),
  );
  to.counter(
    "dot_proxy_query_log_dropped_lines_total",
    "Query log lines dropped because writing was too slow or failed.",
    () => unlabelled(queryLogDropped()),
  );
}

function exposeUpstreamCounters(to: Exposition, { upstreams }: Counters): void {
  to.counter(
    "dot_proxy_query_failures_total",
    "Queries that no upstream answered, by upstream, phase and failure.",
    () =>
      labelEach(upstreams, ({ failures }) => splitKeys(failures, (phase, failure) => ({ phase, failure }))),
  );
  to.histogram(
    "dot_proxy_upstream_exchange_duration_seconds",
    "Time from sending a query to an upstream to its response.",
    () => histograms(upstreams, ({ exchanges }) => exchanges),
  );
  to.histogram(
    "dot_proxy_upstream_handshake_duration_seconds",
    "Duration of the TCP and TLS handshakes of established connections.",
    () => histograms(upstreams, ({ handshakes }) => handshakes),
  );
  to.counter(
    "dot_proxy_upstream_connections_opened_total",
    "TLS connections established.",
    () => labelEach(upstreams, ({ handshakes }) => unlabelled(handshakes.count)),
  );
  to.counter(
    "dot_proxy_upstream_connections_closed_total",
    'Connections closed and connection attempts failed, by reason; "done" if no query was lost.',
    () => labelEach(upstreams, ({ closed }) => splitKeys(closed, (reason) => ({ reason }))),
  );
}

function exposeUpstreamStatus(to: Exposition, { upstreams }: ObservedState): void {
  const gauges: [string, string, (status: UpstreamStatus) => number | undefined][] = [
    [
      "up",
      "1 if the upstream was reachable at the last attempt, else 0.",
      ({ state }) => state === "up" ? 1 : 0,
    ],
    [
      "pin_mismatch",
      "1 if the upstream is not used because its certificate matches no pin, else 0.",
      ({ isRuledOut }) => isRuledOut === undefined ? undefined : Number(isRuledOut),
    ],
    ["in_flight_queries", "Queries that wait for a response of the upstream.", ({ inFlight }) => inFlight],
    ["connections", "Connections that are open or being opened.", ({ connections }) => connections],
    [
      "latency_seconds",
      "Smoothed response time, by which upstreams are selected.",
      ({ latencyMs }) => latencyMs === undefined ? undefined : latencyMs / 1000,
    ],
    [
      "certificate_expiry_timestamp_seconds",
      "Expiry of the server certificate, in seconds since 1970.",
      ({ certificateExpires }) => certificateExpires === undefined ? undefined : certificateExpires / 1000,
    ],
  ];
  for (const [name, help, read] of gauges) {
    to.gauge(`dot_proxy_upstream_${name}`, help, () =>
      upstreams().flatMap((status) => {
        const value = read(status);
        return value === undefined ? [] : [{ labels: { upstream: status.label }, value }];
      }));
  }
}

function exposeCache(to: Exposition, { cache }: ObservedState): void {
  const sample = (read: (status: CacheStatus) => number) => () => {
    const status = cache();
    return status ? unlabelled(read(status)) : [];
  };
  to.gauge("dot_proxy_cache_entries", "Entries in the cache.", sample(({ entries }) => entries));
  to.gauge("dot_proxy_cache_bytes", "Memory used by cache entries.", sample(({ bytes }) => bytes));
  to.gauge(
    "dot_proxy_cache_limit_bytes",
    "Maximum memory for cache entries.",
    sample(({ maxBytes }) => maxBytes),
  );
  to.counter(
    "dot_proxy_cache_evictions_total",
    "Entries evicted before they expired.",
    sample(({ evictions }) => evictions),
  );
}

/** Yields a sample for each combination that has occurred; most never occur. */
function* answers(counters: Counters): Iterable<Sample> {
  for (const [t, transport] of TRANSPORTS.entries()) {
    for (const [s, source] of SOURCES.entries()) {
      for (let rcode = 0; rcode < RCODES; rcode++) {
        const value = counters.answersAt(t, s, rcode);
        if (value > 0) yield { labels: { transport, source, rcode: rcodeLabel(rcode) }, value };
      }
    }
  }
}

function countSample({ count, ...labels }: DenialCount | RejectionCount): Sample {
  return { labels, value: count };
}

function rcodeLabel(rcode: number): string {
  return rcode === RCODES - 1 ? "other" : rcodeName(rcode);
}

/** Returns samples of counts whose keys are one or two words, separated by a slash. */
function splitKeys(
  counts: ReadonlyMap<string, number>,
  labels: (first: string, second: string) => Record<string, string>,
): Sample[] {
  return [...counts].map(([key, value]) => {
    const [first = "", second = ""] = key.split("/");
    return { labels: labels(first, second), value };
  });
}

type UpstreamMap = ReadonlyMap<string, UpstreamCounters>;

/** Returns the samples of all upstreams, each with the upstream's label added. */
function labelEach(upstreams: UpstreamMap, samples: (of: UpstreamCounters) => Sample[]): Sample[] {
  return [...upstreams].flatMap(([upstream, of]) =>
    samples(of).map(({ labels, value }) => ({ labels: { upstream, ...labels }, value }))
  );
}

function histograms(
  upstreams: UpstreamMap,
  histogram: (of: UpstreamCounters) => Histogram,
): HistogramSample[] {
  return [...upstreams].map(([upstream, of]) => ({ labels: { upstream }, histogram: histogram(of) }));
}
