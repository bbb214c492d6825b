/** Looks up the addresses of upstreams that are given by name, with the configured bootstrap servers. */

import {
  type Addresses,
  type AddressType,
  composeAddressQuery,
  readAddresses,
} from "../../dns/address_lookup.ts";
import { Rcode, rcodeName, Type } from "../../dns/codes.ts";
import type { HostLookup } from "../dial/host_lookup.ts";
import type { Exchange } from "./plain_dns.ts";

/** A server that looks up the addresses of upstreams. */
export interface BootstrapServer {
  /** For errors. */
  readonly label: string;
  readonly exchange: Exchange;
}

/** Time limits of one server, and of a whole lookup. The rest of a dial's time is for the connection. */
const SERVER_LIMIT_MS = 1000;
const LOOKUP_LIMIT_MS = 3000;
/** Number of attempts per server, because UDP may lose a packet. */
const ROUNDS = 2;
/** Bounds of the lifetime of addresses. */
const MIN_LIFETIME_SECONDS = 30;
const MAX_LIFETIME_SECONDS = 86_400;
/** Minimum time between two lookups of one host, however often connections to it fail. */
const PAUSE_MS = 1000;

/** The addresses of one host. Times are in ms of the monotonic clock. */
interface CachedHost {
  readonly addresses: readonly string[];
  readonly until: number;
  readonly lookedUpAt: number;
}

/**
 * Looks up host names without the system's resolver, which may use this proxy. It sends only A and AAAA queries for the names
 * of upstreams (RFC 8310 §7.2). A wrong address can make an upstream unreachable. It cannot impersonate the upstream,
 * because the certificate must match.
 */
export class Bootstrap {
  #servers: readonly BootstrapServer[];
  readonly #now: () => number;
  readonly #cache = new Map<string, CachedHost>();
  readonly #running = new Map<string, Promise<readonly string[]>>();

  constructor(servers: readonly BootstrapServer[], now: () => number) {
    this.#servers = servers;
    this.#now = now;
  }

  readonly lookup: HostLookup = (host, refresh = false) => {
    const known = this.#cache.get(host);
    const until = known && (refresh ? Math.min(known.until, known.lookedUpAt + PAUSE_MS) : known.until);
    if (known && this.#now() < until!) return Promise.resolve(known.addresses);
    return this.#running.get(host) ?? this.#start(host);
  };

  #start(host: string): Promise<readonly string[]> {
    const lookup = this.#refresh(host).finally(() => this.#running.delete(host));
    this.#running.set(host, lookup);
    return lookup;
  }

  /** After a failed lookup, expired addresses stay in use. */
  async #refresh(host: string): Promise<readonly string[]> {
    try {
      const { addresses, ttl } = await this.#addresses(host);
      return this.#keep(host, addresses, ttl);
    } catch (error) {
      const known = this.#cache.get(host);
      if (known) return this.#keep(host, known.addresses, MIN_LIFETIME_SECONDS);
      throw error;
    }
  }

  #keep(host: string, addresses: readonly string[], ttl: number): readonly string[] {
    const seconds = Math.min(Math.max(ttl, MIN_LIFETIME_SECONDS), MAX_LIFETIME_SECONDS);
    const lookedUpAt = this.#now();
    this.#cache.set(host, { addresses, until: lookedUpAt + seconds * 1000, lookedUpAt });
    return addresses;
  }

  /** Looks up both families at once, IPv6 first (RFC 8305 §3, §4). One of them is enough. */
  async #addresses(host: string): Promise<Addresses> {
    const deadline = this.#now() + LOOKUP_LIMIT_MS;
    const families = await Promise.allSettled(
      [Type.AAAA, Type.A].map((type) => this.#lookUp(host, type, deadline)),
    );
    const found = families.flatMap((family) => family.status === "fulfilled" ? [family.value] : []);
    const addresses = found.flatMap((family) => family.addresses);
    if (addresses.length > 0) return { addresses, ttl: Math.min(...found.map(({ ttl }) => ttl)) };
    const failed = families.find((family) => family.status === "rejected");
    throw failed?.reason ?? new Error(`${host} has no address`);
  }

  async #lookUp(host: string, type: AddressType, deadline: number): Promise<Addresses> {
    const query = composeAddressQuery(host, type);
    const errors = new Set<string>();
    for (const server of Array(ROUNDS).fill(this.#servers).flat() as BootstrapServer[]) {
      const limit = Math.min(this.#now() + SERVER_LIMIT_MS, deadline);
      if (this.#now() >= deadline) break;
      try {
        const answer = await server.exchange(query, limit);
        const isUsable = answer.rcode === Rcode.NOERROR || answer.rcode === Rcode.NXDOMAIN;
        if (!isUsable) throw new Error(rcodeName(answer.rcode));
        const addresses = readAddresses(answer);
        this.#servers = [server, ...this.#servers.filter((each) => each !== server)]; // asked first the next time
        return addresses;
      } catch (error) {
        errors.add(`${server.label}: ${error instanceof Error ? error.message : error}`);
      }
    }
    throw new Error([...errors].join("; "));
  }
}
