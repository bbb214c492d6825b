import {
  type Addresses,
  type AddressType,
  composeAddressQuery,
  readAddresses,
} from "../../dns/address_lookup.ts";
import { Rcode, rcodeName, Type } from "../../dns/codes.ts";
import type { HostLookup } from "../dial/host_lookup.ts";
import type { Exchange } from "./plain_dns.ts";

/** A server that is asked for the addresses of upstreams. */
export interface BootstrapServer {
  /** For errors. */
  readonly label: string;
  readonly exchange: Exchange;
}

/** How long one server may take, and all of them together, in ms: there must be time left to connect. */
const TRY_LIMIT = 1000;
const LIMIT = 3000;
/** Each server is tried so often: over UDP a packet may just have been lost. */
const ROUNDS = 2;
/** Bounds of the time for which addresses are kept, in s. */
const SHORTEST = 30;
/** The shortest time between two lookups of one host, in ms, however often connections to it fail. */
const PAUSE = 1000;
const LONGEST = 86_400;

/** The addresses of one host. */
interface Known {
  readonly addresses: readonly string[];
  /** In ms on the one clock. */
  readonly until: number;
  readonly askedAt: number;
}

/**
 * Where upstreams are that were given by name, found without the system's resolver, which may lead back here (field note
 * 21). Nothing is asked for but A and AAAA of those names (RFC 8310 §7.2). A wrong address can keep us from the upstream,
 * but not impersonate it: its certificate must name it all the same.
 */
export class Bootstrap {
  #servers: readonly BootstrapServer[];
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  readonly #underWay = new Map<string, Promise<readonly string[]>>();

  constructor(servers: readonly BootstrapServer[], now: () => number) {
    this.#servers = servers;
    this.#now = now;
  }

  readonly lookup: HostLookup = (host, anew = false) => {
    const known = this.#known.get(host);
    const until = known && (anew ? Math.min(known.until, known.askedAt + PAUSE) : known.until);
    if (known && this.#now() < until!) return Promise.resolve(known.addresses);
    return this.#underWay.get(host) ?? this.#start(host);
  };

  #start(host: string): Promise<readonly string[]> {
    const lookup = this.#refresh(host).finally(() => this.#underWay.delete(host));
    this.#underWay.set(host, lookup);
    return lookup;
  }

  /** Addresses that were good once are better than none, whatever is said now. */
  async #refresh(host: string): Promise<readonly string[]> {
    try {
      const { addresses, ttl } = await this.#addresses(host);
      return this.#keep(host, addresses, ttl);
    } catch (error) {
      const known = this.#known.get(host);
      if (known) return this.#keep(host, known.addresses, SHORTEST);
      throw error;
    }
  }

  #keep(host: string, addresses: readonly string[], ttl: number): readonly string[] {
    const seconds = Math.min(Math.max(ttl, SHORTEST), LONGEST);
    const askedAt = this.#now();
    this.#known.set(host, { addresses, until: askedAt + seconds * 1000, askedAt });
    return addresses;
  }

  /** Both families at once, IPv6 first (RFC 8305 §3, §4); one of them is enough. */
  async #addresses(host: string): Promise<Addresses> {
    const deadline = this.#now() + LIMIT;
    const families = await Promise.allSettled(
      [Type.AAAA, Type.A].map((type) => this.#ask(host, type, deadline)),
    );
    const found = families.flatMap((family) => family.status === "fulfilled" ? [family.value] : []);
    const addresses = found.flatMap((family) => family.addresses);
    if (addresses.length > 0) return { addresses, ttl: Math.min(...found.map(({ ttl }) => ttl)) };
    const failed = families.find((family) => family.status === "rejected");
    throw failed?.reason ?? new Error(`${host} has no address`);
  }

  async #ask(host: string, type: AddressType, deadline: number): Promise<Addresses> {
    const query = composeAddressQuery(host, type);
    const troubles = new Set<string>();
    for (const server of Array(ROUNDS).fill(this.#servers).flat() as BootstrapServer[]) {
      const limit = Math.min(this.#now() + TRY_LIMIT, deadline);
      if (this.#now() >= deadline) break;
      try {
        const answer = await server.exchange(query, limit);
        const isUsable = answer.rcode === Rcode.NOERROR || answer.rcode === Rcode.NXDOMAIN;
        if (!isUsable) throw new Error(rcodeName(answer.rcode));
        const addresses = readAddresses(answer);
        this.#servers = [server, ...this.#servers.filter((each) => each !== server)]; // the first next time
        return addresses;
      } catch (error) {
        troubles.add(`${server.label}: ${error instanceof Error ? error.message : error}`);
      }
    }
    throw new Error([...troubles].join("; "));
  }
}
