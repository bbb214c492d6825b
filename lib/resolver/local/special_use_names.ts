/** Special-use names, private reverse zones and canary names. Queries for them must not reach the public DNS. */

import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import type { SubtreeRule, ZoneData } from "./zone_data.ts";

/** TTL of records in empty zones (RFC 6303 §3), in seconds. */
const TTL = 10_800;

/** Zones and the rules for their names. `example` is not listed: it gets "no special" treatment (RFC 6761 §6.5). */
const ZONES: readonly (readonly [string, SubtreeRule])[] = [
  ["localhost", "same"], // RFC 6761 §6.3
  ["invalid", "denied"], // §6.4
  ["test", "denied"], // §6.2
  ["local", "denied"], // RFC 6762 §22.1: for multicast
  ["onion", "denied"], // RFC 7686 §2
  ["home.arpa", "denied"], // RFC 8375 §4
  ["alt", "denied"], // RFC 9476 §2
  // RFC 9462 §6.4: clients would learn the resolvers that an upstream designates, and bypass this proxy.
  ["resolver.arpa", "empty"],
  ...privateReverseZones().map((zone) => [zone, "denied"] as const),
];

/** RFC 6303 §4 and RFC 7793 §3. */
function privateReverseZones(): string[] {
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const nibbles = (text: string) => [...text].join(".");
  const ipv4 = [
    ...["10", "168.192", ...range(16, 31).map((byte) => `${byte}.172`)],
    ...["0", "127", "254.169", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"],
    ...range(64, 127).map((byte) => `${byte}.100`),
  ];
  const ipv6 = ["0".repeat(32), "1" + "0".repeat(31), "df", "8ef", "9ef", "aef", "bef", "8bd01002"];
  return [
    ...ipv4.map((zone) => `${zone}.in-addr.arpa`),
    ...ipv6.map((zone) => `${nibbles(zone)}.ip6.arpa`),
  ];
}

/**
 * Names for which NXDOMAIN makes clients use the network's resolver: Firefox's DNS over HTTPS (support.mozilla.org:
 * "canary domain"), and iCloud Private Relay (developer.apple.com: "Prepare your network or web server for iCloud Private
 * Relay").
 */
const CANARY_NAMES = ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];

const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = Uint8Array.from({ length: 16 }, (_, i) => i === 15 ? 1 : 0);

/** Adds the zones, except those within a route. Routes below a zone are forwarded. `routes`: domains in lower case. */
export function addSpecialNames(data: ZoneData, routes: readonly string[]): void {
  for (const [zone, below] of ZONES) {
    if (!routes.some((route) => isWithin(zone, route))) addZone(data, zone, below);
  }
  for (const route of routes) {
    if (ZONES.some(([zone]) => isWithin(route, zone))) data.addZone(parseName(route), "forwarded");
  }
}

/** Adds the canary names, except those with a route of their own. */
export function addCanaryNames(data: ZoneData, routes: readonly string[]): void {
  for (const name of CANARY_NAMES) {
    if (!routes.includes(name)) data.addZone(parseName(name), "absent", true);
  }
}

function addZone(data: ZoneData, zone: string, below: SubtreeRule): void {
  const name = parseName(zone);
  data.addZone(name, below);
  if (zone === "localhost") {
    addRecord(data, name, Type.A, LOOPBACK4);
    addRecord(data, name, Type.AAAA, LOOPBACK6);
  } else if (zone === "127.in-addr.arpa") {
    addRecord(data, parseName("1.0.0.127.in-addr.arpa"), Type.PTR, parseName("localhost"));
  } else if (zone.startsWith("1.0.0.0.0.")) {
    addRecord(data, name, Type.PTR, parseName("localhost"));
  }
}

/** Adds a record, unless the operator has configured records of this name and type. */
function addRecord(zoneData: ZoneData, name: Uint8Array, type: number, data: Uint8Array): void {
  if (!zoneData.hasRecords(name, type)) zoneData.add({ name, type, ttl: TTL, data });
}

/** Whether a domain is the other one or below it. */
function isWithin(domain: string, other: string): boolean {
  return domain === other || domain.endsWith(`.${other}`);
}

/** Whether a name is in one of the zones. `name`: in lower case, without the final dot. */
export function isSpecial(name: string): boolean {
  return ZONES.some(([zone]) => isWithin(name, zone));
}
