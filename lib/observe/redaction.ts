import type { Query } from "../core/resolver.ts";

/** How much the query log and the dashboard tell of who asked for what: all, clients masked, or neither of them. */
export type Redaction = "full" | "masked" | "none";

/** The client as it may be shown; "-" where it may not. */
export function clientText({ client }: Query, detail: Redaction): string {
  if (detail === "none") return "-";
  return detail === "masked" ? masked(client.address) : client.address;
}

/** The name as it may be shown, with its escapes; "-" where it may not. */
export function nameText({ message }: Query, detail: Redaction): string {
  return detail === "none" ? "-" : message.name;
}

/** The network instead of the host: /24 and /56, as RFC 7871 §11.1 has it for what is given away of clients. */
function masked(address: string): string {
  if (!address.includes(":")) return address.replace(/\.\d+$/, ".0/24");
  if (address.includes(".")) return address.replace(/^.*:(\d+\.\d+\.\d+)\.\d+$/, "$1.0/24"); // IPv4 in IPv6
  const [head = "", tail] = address.split("%")[0]!.split("::");
  const groups = head === "" ? [] : head.split(":");
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === "" ? 0 : tail.split(":").length);
  const all = [...groups, ...Array(missing).fill("0"), ...tail ? tail.split(":") : []];
  const upper = (parseInt(all[3]!, 16) & 0xff00).toString(16);
  return `${all.slice(0, 3).join(":")}:${upper}::/56`;
}
