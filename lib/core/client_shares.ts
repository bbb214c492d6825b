import { IpAddress, IPV4_WORD } from "../net/ip_address.ts";

/** Networks fall into so many slots by a hash; two that share a slot share their part, too. A power of two. */
const SLOTS = 4096;

/**
 * In ms. Where places are short, a query that has waited longer than this gives its place up ("jostle", as in Unbound): most
 * answers come sooner, so it is likely to be one that gets none.
 */
export const JOSTLE_AFTER_MS = 200;
/** Of the eldest, how many are looked at for one that may be given up. */
export const MAX_EXAMINED = 64;

/** New for each process, so that nobody can choose an address that shares the slot of another network. */
const [SEED = 0] = crypto.getRandomValues(new Int32Array(1));

/** How many of some scarce places the clients of each network hold. A network is an IPv4 /24 or an IPv6 /56 (RFC 6177 §2). */
export class ClientShares {
  readonly #held = new Uint32Array(SLOTS);
  readonly #words = new IpAddress();

  /** The network of a client with this IP address, as a number for the other methods. */
  networkOf(address: string): number {
    const { words, isIpv4 } = this.#words.read(address);
    const [high, low] = isIpv4 ? [-1, words[IPV4_WORD]! & ~0xff] : [words[0]!, words[1]! & ~0xff];
    // The finisher of MurmurHash3 over both words.
    let hash = Math.imul(high ^ SEED, 0xcc9e2d51) ^ low;
    hash = Math.imul(hash ^ hash >>> 16, 0x85ebca6b);
    hash = Math.imul(hash ^ hash >>> 13, 0xc2b2ae35);
    return (hash ^ hash >>> 16) & SLOTS - 1;
  }

  /** How many places a network holds. */
  countOf(network: number): number {
    return this.#held[network]!;
  }

  add(network: number): void {
    this.#held[network]!++;
  }

  remove(network: number): void {
    this.#held[network]!--;
  }
}
