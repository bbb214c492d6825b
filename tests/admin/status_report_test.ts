import { statusReport } from "../../lib/admin/status_report.ts";
import { Counters } from "../../lib/observe/counters.ts";
import type { DenialReason } from "../../lib/core/event.ts";
import type { Client } from "../../lib/core/resolver.ts";
import { answered } from "../observe/answers.ts";
import { assertEquals } from "../support/assert.ts";

/** Returns the report for these counters, with no upstreams and no cache. */
function reportOf(counters: Counters) {
  return statusReport({
    counters,
    upstreams: () => [],
    cache: () => undefined,
    residentBytes: () => 1,
    queryLogDropped: () => 0,
    version: "1.2.3",
  });
}

const from = (transport: Client["transport"]): Client => ({ transport, address: "192.0.2.7", port: 1 });

Deno.test("statusReport counts answers by source, including blocked and filtered ones", () => {
  const counters = new Counters();
  const sources = ["local", "blocked", "blocked", "filtered", "stale", "cache", "upstream"] as const;
  for (const source of sources) counters.observe(answered({ source }));
  counters.observe({ kind: "hits", transport: "udp", rcode: 0, count: 3, milliseconds: 1 });
  const expected = { upstream: 1, cache: 4, stale: 1, local: 1, blocked: 2, filtered: 1 };
  assertEquals(reportOf(counters).answers.bySource, expected);
});

Deno.test("statusReport counts denied queries and rejected messages by reason and response", () => {
  const counters = new Counters();
  const deny = (transport: Client["transport"], reason: DenialReason, isAnswered: boolean) =>
    counters.observe({ kind: "denied", client: from(transport), reason, answered: isAnswered });
  deny("udp", "not allowed", true);
  deny("udp", "not allowed", true);
  deny("udp", "not allowed", false);
  deny("tcp", "rate limit", true);
  for (const transport of ["udp", "tcp"] as const) {
    counters.observe({ kind: "rejected", client: from(transport), rcode: 1 });
  }
  counters.observe({ kind: "rejected", client: from("udp"), rcode: undefined });
  counters.observe({ kind: "connection rejected", address: "192.0.2.7", reason: "too many" });
  const { deniedQueries, rejectedMessages, rejectedConnections } = reportOf(counters);
  assertEquals(deniedQueries, [
    { transport: "udp", reason: "not allowed", response: "refused", count: 2 },
    { transport: "udp", reason: "not allowed", response: "none", count: 1 },
    { transport: "tcp", reason: "rate limit", response: "refused", count: 1 },
  ]);
  assertEquals([rejectedMessages, rejectedConnections], [{ FORMERR: 2, none: 1 }, 1]);
});

Deno.test("validations are summed by status", () => {
  const counters = new Counters();
  for (const code of [6, 7, 7]) {
    counters.observe({ kind: "validated", name: "a.test.", status: "bogus", code, reason: "expired" });
  }
  counters.observe({ kind: "validated", name: "b.test.", status: "secure" });
  assertEquals(reportOf(counters).validations, { bogus: 3, secure: 1 });
});
