/**
 * Counts of queries by client network, for the fair use of a bounded number of waiting queries.
 *
 * When the bound is reached, a query of a network with more than its share makes room for one of another network.
 */

import { assert } from "./assert.ts";
import { IpAddress, IPV4_WORD } from "../net/ip_address.ts";

/** Number of counters, a power of two. Networks with the same hash share a counter. */
const SLOTS = 4096;

/**
 * When the bound is reached, a query that has waited longer than this may be evicted ("jostle", as in Unbound). Most
 * responses arrive sooner, so it is unlikely to get one.
 */
export const JOSTLE_AFTER_MS = 200;
/** Maximum number of the oldest queries that are examined to find one to evict. */
export const MAX_EXAMINED = 64;

/** Random for each process, so that an attacker cannot choose an address that shares a victim's counter. */
const [SEED = 0] = crypto.getRandomValues(new Int32Array(1));

/** The number of waiting queries of each client network. A network is an IPv4 /24 or an IPv6 /56 (RFC 6177 §2). */
export class ClientShares {
  readonly #counts = new Uint32Array(SLOTS);
  readonly #words = new IpAddress();

  /** The network of an IP address, as a number for the other methods. */
  networkOf(address: string): number {
    const { words, isIpv4 } = this.#words.read(address);
    const [high, low] = isIpv4 ? [-1, words[IPV4_WORD]! & ~0xff] : [words[0]!, words[1]! & ~0xff];
    // The finalizer of MurmurHash3 over both words.
    let hash = Math.imul(high ^ SEED, 0xcc9e2d51) ^ low;
    hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
    return (hash ^ hash >>> 16) & SLOTS - 1;
  }

  /** The number of waiting queries of the network. */
  countOf(network: number): number {
    return this.#counts[network]!;
  }

  /** Counts a waiting query of the network. */
  add(network: number): void {
    this.#counts[network]!++;
  }

  /** Counts a query that no longer waits. Precondition: `add` was called for it. */
  remove(network: number): void {
    assert(this.#counts[network]! > 0, "a waiting query of this network was counted");
    this.#counts[network]!--;
  }
}
