/** Names that the public DNS has no answer for, and that must not be asked for there. */
import { Type } from "../../dns/codes.ts";
import { parseName } from "../../dns/name.ts";
import type { SubtreeRule, ZoneData } from "./zone_data.ts";

/** What RFC 6303 §3 gives its zones, in seconds. */
const TTL = 10_800;

/** Zones, and what is said of the names in them. `example` is not among them: "no special" treatment (RFC 6761 §6.5). */
const ZONES: readonly (readonly [string, SubtreeRule])[] = [
  ["localhost", "same"], // RFC 6761 §6.3
  ["invalid", "denied"], // §6.4
  ["test", "denied"], // §6.2
  ["local", "denied"], // RFC 6762 §22.1: for multicast
  ["onion", "denied"], // RFC 7686 §2
  ["home.arpa", "denied"], // RFC 8375 §4
  ["alt", "denied"], // RFC 9476 §2
  // RFC 9462 §6.4: else clients learn of resolvers that an upstream designates, and go there past us.
  ["resolver.arpa", "empty"],
  ...privateReverseZones().map((zone) => [zone, "denied"] as const),
];

/** RFC 6303 §4 and RFC 7793 §3. */
function privateReverseZones(): string[] {
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const nibbles = (text: string) => [...text].join(".");
  const ipv4 = [
    ...["10", "168.192", ...range(16, 31).map((octet) => `${octet}.172`)],
    ...["0", "127", "254.169", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"],
    ...range(64, 127).map((octet) => `${octet}.100`),
  ];
  const ipv6 = ["0".repeat(32), "1" + "0".repeat(31), "df", "8ef", "9ef", "aef", "bef", "8bd01002"];
  return [
    ...ipv4.map((zone) => `${zone}.in-addr.arpa`),
    ...ipv6.map((zone) => `${nibbles(zone)}.ip6.arpa`),
  ];
}

/**
 * Names by which browsers and systems ask whether the network wants them to keep to its resolver, as NXDOMAIN says it
 * does: Firefox's DNS over HTTPS (support.mozilla.org: "canary domain"), and iCloud Private Relay
 * (developer.apple.com: "Prepare your network or web server for iCloud Private Relay").
 */
const CANARY_NAMES = ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];

const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = Uint8Array.from({ length: 16 }, (_, i) => i === 15 ? 1 : 0);

/** Adds the zones, but for what routes lead to upstreams of their own: `routes` are domains in lower case. */
export function addSpecialNames(names: ZoneData, routes: readonly string[]): void {
  for (const [zone, below] of ZONES) {
    if (!routes.some((route) => isWithin(zone, route))) addZone(names, zone, below);
  }
  for (const route of routes) {
    if (ZONES.some(([zone]) => isWithin(route, zone))) names.addZone(parseName(route), "forwarded");
  }
}

/** Adds the canary names, but for those that have a route of their own. */
export function addCanaryNames(names: ZoneData, routes: readonly string[]): void {
  for (const name of CANARY_NAMES) {
    if (!routes.includes(name)) names.addZone(parseName(name), "absent", true);
  }
}

function addZone(names: ZoneData, zone: string, below: SubtreeRule): void {
  const name = parseName(zone);
  names.addZone(name, below);
  if (zone === "localhost") {
    addOwn(names, name, Type.A, LOOPBACK4);
    addOwn(names, name, Type.AAAA, LOOPBACK6);
  } else if (zone === "127.in-addr.arpa") {
    addOwn(names, parseName("1.0.0.127.in-addr.arpa"), Type.PTR, parseName("localhost"));
  } else if (zone.startsWith("1.0.0.0.0.")) {
    addOwn(names, name, Type.PTR, parseName("localhost"));
  }
}

/** What has been given by the operator stays. */
function addOwn(names: ZoneData, name: Uint8Array, type: number, data: Uint8Array): void {
  if (!names.owns(name, type)) names.add({ name, type, ttl: TTL, data });
}

/** Whether a domain is the other or below it. */
function isWithin(domain: string, other: string): boolean {
  return domain === other || domain.endsWith(`.${other}`);
}

/** Whether a name, in lower case and without the final dot, is in one of the zones: nobody else has an answer for it. */
export function isSpecial(name: string): boolean {
  return ZONES.some(([zone]) => isWithin(name, zone));
}
