import { lookup } from "node:dns/promises";

/** The addresses of a host, best first and never none; rejects with what is wrong. May be called concurrently. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/**
 * As the system does it: `getaddrinfo(3)` knows /etc/hosts and whatever else the host is set up with, in the order of
 * RFC 6724. `Deno.resolveDns` only asks the servers in /etc/resolv.conf.
 */
export async function systemLookup(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true, order: "verbatim" })).map(({ address }) => address);
}
