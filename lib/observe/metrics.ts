import { rcodeName } from "../dns/codes.ts";
import {
  type Counters,
  type Denials,
  RCODES,
  SOURCES,
  TRANSPORTS,
  type TurnedAways,
  type UpstreamCounters,
} from "./counters.ts";
import { Exposition, type Sample, type TimedSample, unlabelled } from "./prometheus.ts";
import type { Histogram } from "./histogram.ts";
import type { CacheStatus, UpstreamStatus } from "../core/status.ts";

export interface ObservedState {
  readonly counters: Counters;
  readonly upstreams: () => readonly UpstreamStatus[];
  /** Undefined where there is no cache. */
  readonly cache: () => CacheStatus | undefined;
  /** Lines that the query log had to leave out. */
  readonly queryLogDropped: () => number;
  readonly version: string;
}

/** Every metric of the proxy itself: name, meaning, and where its numbers are. */
export function metrics(watched: ObservedState): Exposition {
  const exposition = new Exposition();
  exposeAnswers(exposition, watched);
  exposeUpstreamCounters(exposition, watched.counters);
  exposeUpstreams(exposition, watched);
  exposeCache(exposition, watched);
  return exposition;
}

function exposeAnswers(to: Exposition, { counters, queryLogDropped, version }: ObservedState): void {
  to.gauge("dot_proxy_build_info", "Always 1; the labels tell what is running.", () => [
    { labels: { version, deno: Deno.version.deno }, value: 1 },
  ]);
  to.counter("dot_proxy_queries_total", "Queries answered.", () => answers(counters));
  to.histogram(
    "dot_proxy_query_duration_seconds",
    "Time from a query to its answer.",
    () => SOURCES.map((source, i) => ({ labels: { source }, histogram: counters.durations[i]! })),
  );
  to.counter(
    "dot_proxy_rejected_messages_total",
    "Messages that were no queries to resolve, by what their senders were told.",
    () => counters.turnedAway.map(counted),
  );
  to.counter(
    "dot_proxy_denied_queries_total",
    "Queries that were not looked at, by why, and by whether the client was told.",
    () => counters.denials.map(counted),
  );
  to.counter(
    "dot_proxy_query_retries_total",
    "Attempts of queries after one that failed.",
    () => unlabelled(counters.retries),
  );
  to.counter(
    "dot_proxy_query_hedges_total",
    "Attempts of queries at another upstream, because one took long to answer.",
    () => unlabelled(counters.hedges),
  );
  to.counter(
    "dot_proxy_tcp_clients_refused_total",
    "TCP clients that were one too many.",
    () => unlabelled(counters.clientsRefused),
  );
  to.counter(
    "dot_proxy_socket_errors_total",
    "Failures of listening sockets.",
    () =>
      TRANSPORTS.map((transport) => ({ labels: { transport }, value: counters.socketTrouble[transport] })),
  );
  to.counter("dot_proxy_defects_total", "Exceptions that should not be.", () => unlabelled(counters.defects));
  to.counter(
    "dot_proxy_file_errors_total",
    "Files that could not be read or written, by what they are for.",
    () => [...counters.fileErrors].map(([use, value]) => ({ labels: { use }, value })),
  );
  to.counter(
    "dot_proxy_dnssec_validations_total",
    "Responses validated, by status and by the code of the extended DNS error (RFC 8914).",
    () =>
      [...counters.validations].map(([key, value]) => {
        const [status = "", code = ""] = key.split("/");
        return { labels: { status, code }, value };
      }),
  );
  to.counter(
    "dot_proxy_reloads_total",
    "Reloads of the configuration; after a failure the one before stays in force.",
    () => [...counters.reloads].map(([result, value]) => ({ labels: { result }, value })),
  );
  to.counter(
    "dot_proxy_query_log_dropped_total",
    "Lines left out of the query log because writing was too slow or failed.",
    () => unlabelled(queryLogDropped()),
  );
}

function exposeUpstreamCounters(to: Exposition, { upstreams }: Counters): void {
  to.counter(
    "dot_proxy_query_failures_total",
    "Queries without a better answer than SERVFAIL, by how far they came and why.",
    () => ofEach(upstreams, ({ failures }) => byPair(failures, (phase, failure) => ({ phase, failure }))),
  );
  to.histogram(
    "dot_proxy_upstream_exchange_duration_seconds",
    "Time from sending a query upstream to its answer.",
    () => histograms(upstreams, ({ exchanges }) => exchanges),
  );
  to.histogram(
    "dot_proxy_upstream_handshake_duration_seconds",
    "Time for TCP and TLS of connections that came about.",
    () => histograms(upstreams, ({ handshakes }) => handshakes),
  );
  to.counter(
    "dot_proxy_upstream_connections_opened_total",
    "Connections that came about.",
    () => ofEach(upstreams, ({ handshakes }) => unlabelled(handshakes.count)),
  );
  to.counter(
    "dot_proxy_upstream_connections_closed_total",
    'Connections and tries to connect that ended, by why; "done" where nothing was lost.',
    () => ofEach(upstreams, ({ closed }) => byPair(closed, (reason) => ({ reason }))),
  );
}

function exposeUpstreams(to: Exposition, { upstreams }: ObservedState): void {
  const gauges: [string, string, (status: UpstreamStatus) => number | undefined][] = [
    ["up", "Whether it was reached the last time.", ({ state }) => state === "up" ? 1 : 0],
    [
      "pin_mismatch",
      "Whether it was ruled out because none of its keys is pinned.",
      ({ isRuledOut }) => isRuledOut === undefined ? undefined : Number(isRuledOut),
    ],
    ["in_flight", "Queries that wait for it.", ({ inFlight }) => inFlight],
    ["connections", "Connections open or opening.", ({ connections }) => connections],
    [
      "latency_seconds",
      "Smoothed time of its answers, by which it is chosen.",
      ({ latencyMs }) => latencyMs === undefined ? undefined : latencyMs / 1000,
    ],
    [
      "certificate_expiry_timestamp_seconds",
      "When its certificate expires, since 1970.",
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
  const ofCache = (read: (status: CacheStatus) => number) => () => {
    const status = cache();
    return status ? unlabelled(read(status)) : [];
  };
  to.gauge("dot_proxy_cache_entries", "Answers kept.", ofCache(({ entries }) => entries));
  to.gauge("dot_proxy_cache_bytes", "Memory of the answers kept.", ofCache(({ bytes }) => bytes));
  to.gauge("dot_proxy_cache_limit_bytes", "Memory they may take.", ofCache(({ maxBytes }) => maxBytes));
  to.counter(
    "dot_proxy_cache_evictions_total",
    "Answers that had to make room before their time.",
    ofCache(({ evictions }) => evictions),
  );
}

/** One for each combination that has occurred: most never do. */
function* answers(counters: Counters): Iterable<Sample> {
  for (const [t, transport] of TRANSPORTS.entries()) {
    for (const [s, source] of SOURCES.entries()) {
      for (let rcode = 0; rcode < RCODES; rcode++) {
        const value = counters.answersAt(t, s, rcode);
        if (value > 0) yield { labels: { transport, source, rcode: label(rcode) }, value };
      }
    }
  }
}

function counted({ count, ...labels }: Denials | TurnedAways): Sample {
  return { labels, value: count };
}

function label(rcode: number): string {
  return rcode === RCODES - 1 ? "other" : rcodeName(rcode);
}

/** Samples of counts whose keys are one or two words with a slash between. */
function byPair(
  counts: ReadonlyMap<string, number>,
  labels: (one: string, other: string) => Record<string, string>,
): Sample[] {
  return [...counts].map(([key, value]) => {
    const [one = "", other = ""] = key.split("/");
    return { labels: labels(one, other), value };
  });
}

type All = ReadonlyMap<string, UpstreamCounters>;

/** The samples of each upstream, with its label among theirs. */
function ofEach(upstreams: All, samples: (of: UpstreamCounters) => Sample[]): Sample[] {
  return [...upstreams].flatMap(([upstream, of]) =>
    samples(of).map(({ labels, value }) => ({ labels: { upstream, ...labels }, value }))
  );
}

function histograms(upstreams: All, histogram: (of: UpstreamCounters) => Histogram): TimedSample[] {
  return [...upstreams].map(([upstream, of]) => ({ labels: { upstream }, histogram: histogram(of) }));
}
