/** Redaction of clients and names in the query log and on the dashboard (`--query-detail`). */

import type { Query } from "../core/resolver.ts";

/** Show clients and names, mask the clients, or hide both. */
export type Redaction = "full" | "masked" | "none";

/** Returns the redacted client; "-" if it is hidden. */
export function clientText({ client }: Query, redaction: Redaction): string {
  if (redaction === "none") return "-";
  return redaction === "masked" ? masked(client.address) : client.address;
}

/** Returns the escaped name; "-" if it is hidden. */
export function nameText({ message }: Query, redaction: Redaction): string {
  return redaction === "none" ? "-" : message.name;
}

/** Returns the network of an address: /24 or /56, the lengths that RFC 7871 §11.1 recommends for privacy. */
function masked(address: string): string {
  if (!address.includes(":")) return address.replace(/\.\d+$/, ".0/24");
  if (address.includes(".")) return address.replace(/^.*:(\d+\.\d+\.\d+)\.\d+$/, "$1.0/24"); // IPv4-mapped IPv6
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const all = [...groups, ...Array(missing).fill("0"), ...tail ? tail.split(":") : []];
  const upper = (parseInt(all[3]!, 16) & 0xff00).toString(16);
  return `${all.slice(0, 3).join(":")}:${upper}::/56`;
}
