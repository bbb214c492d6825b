/** The one comparison that matters: the records that came through the proxy and those of the plain server. */
import { assert, assertEquals } from "../support/assert.ts";
import type { Rr } from "../support/processes/dig.ts";

/** The types that only a client with DO set may get unasked (RFC 3225 §3). */
const DNSSEC_TYPES = new Set(["RRSIG", "NSEC", "NSEC3", "DNSKEY", "DS"]);

/** The same records in any order, and no TTL longer than the direct one's. */
export function assertSameRecords(through: readonly Rr[], direct: readonly Rr[], what: string): void {
  const expected = new Map(direct.map((rr) => [keyOf(rr), rr.ttl]));
  assertEquals(through.map(keyOf).sort(), direct.map(keyOf).sort(), what);
  for (const rr of through) {
    const ttl = expected.get(keyOf(rr)) ?? 0;
    assert(rr.ttl <= ttl, `${what}: TTL ${rr.ttl} of ${keyOf(rr)} is above ${ttl}`);
  }
}

export function isDnssec({ type }: Rr): boolean {
  return DNSSEC_TYPES.has(type);
}

/** Names compare without case (RFC 4343 §3): the resolvers write the asked case or the zone's, as they please. */
function keyOf(rr: Rr): string {
  return `${rr.name.toLowerCase()} ${rr.class} ${rr.type} ${rr.rdata}`;
}
