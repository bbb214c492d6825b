import { UpstreamError } from "../../lib/core/errors.ts";
import { Counters } from "../../lib/observe/counters.ts";
import { metrics } from "../../lib/observe/metrics.ts";
import type { CacheStatus, UpstreamStatus } from "../../lib/core/status.ts";
import { assertEquals, assertStringIncludes } from "../support/assert.ts";
import { answered } from "./answers.ts";

const label = "192.0.2.53:853";
const client = { transport: "tcp", address: "192.0.2.7", port: 1 } as const;
const up: UpstreamStatus = {
  label,
  state: "up",
  lastError: undefined,
  latencyMs: 12.5,
  inFlight: 3,
  connections: 1,
  certificateExpires: undefined,
};

/** Returns the samples of the exposition that match the pattern. */
async function samples(
  counters: Counters,
  pattern: RegExp,
  { upstreams = [up], cache }: { upstreams?: UpstreamStatus[]; cache?: CacheStatus } = {},
): Promise<string[]> {
  const watched = { counters, upstreams: () => upstreams, cache: () => cache, queryLogDropped: () => 4 };
  const text = await metrics({ ...watched, version: "1.2.3" }).text();
  return text.split("\n").filter((line) => !line.startsWith("#") && pattern.test(line));
}

Deno.test("metrics count answers by transport, source and RCODE, without combinations that never occurred", async () => {
  const counters = new Counters();
  counters.observe(answered());
  counters.observe(answered());
  counters.observe(answered({ transport: "tcp", source: "cache", rcode: 3, attempts: 0 }));
  counters.observe(answered({ rcode: 4000 }));
  assertEquals(await samples(counters, /^dot_proxy_queries_total/), [
    'dot_proxy_queries_total{transport="udp",source="upstream",rcode="NOERROR"} 2',
    'dot_proxy_queries_total{transport="udp",source="upstream",rcode="other"} 1',
    'dot_proxy_queries_total{transport="tcp",source="cache",rcode="NXDOMAIN"} 1',
  ]);
});

Deno.test("metrics expose durations as cumulative histograms in seconds", async () => {
  const counters = new Counters();
  for (const milliseconds of [0.2, 3, 20_000]) counters.observe(answered({ source: "cache", milliseconds }));
  const lines = await samples(counters, /^dot_proxy_query_duration_seconds_.*source="cache"/);
  assertEquals(lines.filter((line) => /le="(0\.0001|0\.00025|0\.005|10|\+Inf)"|_sum|_count/.test(line)), [
    'dot_proxy_query_duration_seconds_bucket{source="cache",le="0.0001"} 0',
    'dot_proxy_query_duration_seconds_bucket{source="cache",le="0.00025"} 1',
    'dot_proxy_query_duration_seconds_bucket{source="cache",le="0.005"} 2',
    'dot_proxy_query_duration_seconds_bucket{source="cache",le="10"} 2',
    'dot_proxy_query_duration_seconds_bucket{source="cache",le="+Inf"} 3',
    'dot_proxy_query_duration_seconds_sum{source="cache"} 20.0032',
    'dot_proxy_query_duration_seconds_count{source="cache"} 3',
  ]);
});

Deno.test("metrics count failures, retries, rejections and errors by reason", async () => {
  const counters = new Counters();
  const error = new UpstreamError("timed out", { upstream: label, phase: "connect" });
  counters.observe(answered({ rcode: 2, attempts: 3, error }));
  counters.observe(answered({ attempts: 3, hedges: 2 }));
  counters.observe({ kind: "rejected", client, rcode: 4 });
  counters.observe({ kind: "rejected", client, rcode: undefined });
  counters.observe({ kind: "connection rejected", address: "192.0.2.7", reason: "too many" });
  counters.observe({ kind: "socket error", transport: "udp", address: "::1", error });
  counters.observe({ kind: "internal error", error });
  const expected = [
    `dot_proxy_query_failures_total{upstream="${label}",phase="connect",failure="timed out"} 1`,
    "dot_proxy_query_retries_total 2",
    "dot_proxy_query_hedges_total 2",
    'dot_proxy_rejected_messages_total{transport="tcp",rcode="NOTIMP"} 1',
    'dot_proxy_rejected_messages_total{transport="tcp",rcode="none"} 1',
    "dot_proxy_rejected_connections_total 1",
    'dot_proxy_socket_errors_total{transport="udp"} 1',
    'dot_proxy_socket_errors_total{transport="tcp"} 0',
    "dot_proxy_internal_errors_total 1",
    "dot_proxy_query_log_dropped_lines_total 4",
    `dot_proxy_build_info{version="1.2.3",deno="${Deno.version.deno}"} 1`,
  ];
  const lines = await samples(counters, /./);
  for (const line of expected) assertStringIncludes(lines.join("\n"), line);
});

Deno.test("metrics count DNSSEC validations by status and extended error", async () => {
  const counters = new Counters();
  const observe = (status: "secure" | "bogus", code?: number) =>
    counters.observe({ kind: "validated", name: "a.test.", status, code });
  observe("secure");
  observe("bogus", 7);
  observe("bogus", 7);
  assertEquals(await samples(counters, /dnssec/), [
    'dot_proxy_dnssec_validations_total{status="secure",code=""} 1',
    'dot_proxy_dnssec_validations_total{status="bogus",code="7"} 2',
  ]);
});

Deno.test("metrics count connections with their handshakes and close reasons", async () => {
  const counters = new Counters();
  const error = new UpstreamError("silent", { upstream: label, phase: "read" });
  counters.observe({ kind: "connection opened", upstream: label, milliseconds: 20 });
  counters.observe({ kind: "exchanged", upstream: label, milliseconds: 5 });
  counters.observe({ kind: "connection closed", upstream: label, answered: 1 });
  counters.observe({ kind: "connection closed", upstream: label, answered: 0, error });
  assertEquals(await samples(counters, /_upstream_connections_|_duration_seconds_(sum|count)\{upstream/), [
    `dot_proxy_upstream_exchange_duration_seconds_sum{upstream="${label}"} 0.005`,
    `dot_proxy_upstream_exchange_duration_seconds_count{upstream="${label}"} 1`,
    `dot_proxy_upstream_handshake_duration_seconds_sum{upstream="${label}"} 0.02`,
    `dot_proxy_upstream_handshake_duration_seconds_count{upstream="${label}"} 1`,
    `dot_proxy_upstream_connections_opened_total{upstream="${label}"} 1`,
    `dot_proxy_upstream_connections_closed_total{upstream="${label}",reason="done"} 1`,
    `dot_proxy_upstream_connections_closed_total{upstream="${label}",reason="silent"} 1`,
  ]);
});

Deno.test("metrics expose the status of upstreams and cache, without unknown values", async () => {
  const down: UpstreamStatus = {
    ...up,
    label: "b",
    state: "down",
    latencyMs: undefined,
    certificateExpires: 2e12,
  };
  const cache = { entries: 5, bytes: 1000, maxBytes: 4096, evictions: 7 };
  assertEquals(await samples(new Counters(), /_upstream_|_cache_/, { upstreams: [up, down], cache }), [
    `dot_proxy_upstream_up{upstream="${label}"} 1`,
    'dot_proxy_upstream_up{upstream="b"} 0',
    `dot_proxy_upstream_in_flight_queries{upstream="${label}"} 3`,
    'dot_proxy_upstream_in_flight_queries{upstream="b"} 3',
    `dot_proxy_upstream_connections{upstream="${label}"} 1`,
    'dot_proxy_upstream_connections{upstream="b"} 1',
    `dot_proxy_upstream_latency_seconds{upstream="${label}"} 0.0125`,
    'dot_proxy_upstream_certificate_expiry_timestamp_seconds{upstream="b"} 2000000000',
    "dot_proxy_cache_entries 5",
    "dot_proxy_cache_bytes 1000",
    "dot_proxy_cache_limit_bytes 4096",
    "dot_proxy_cache_evictions_total 7",
  ]);
});

Deno.test("metrics escape quotes, backslashes and line feeds in label values", async () => {
  const label = 'a"b\\c\nd';
  const lines = await samples(new Counters(), /upstream_up/, { upstreams: [{ ...up, label }] });
  assertEquals(lines, ['dot_proxy_upstream_up{upstream="a\\"b\\\\c\\nd"} 1']);
});
