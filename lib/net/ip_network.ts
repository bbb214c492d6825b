/** IP networks: parsed from text (RFC 4632 §3.1, RFC 4291 §2.3), and searched for an address. */

import ipaddr from "ipaddr.js";
import { IpAddress, IPV4_WORD } from "./ip_address.ts";

export interface Network {
  readonly isIpv4: boolean;
  /** The first address, as the words of `IpAddress`. */
  readonly words: Int32Array;
  /** Number of bits in the prefix, of 128 or 32. */
  readonly length: number;
}

/** Parses `ADDRESS/LENGTH`, or an address alone. Throws a `TypeError` with the fault and the remedy. */
export function parseNetwork(text: string): Network {
  const [, address = "", length] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const isFourParts = ipaddr.IPv4.isValidFourPartDecimal(address);
  if (!isFourParts && !ipaddr.IPv6.isValid(address)) {
    throw new TypeError(`"${text}" is not a network; write ADDRESS/LENGTH, as in 192.168.0.0/16 or fd00::/8`);
  }
  const parsed = new IpAddress();
  parsed.read(ipaddr.parse(address).toNormalizedString());
  const bits = isFourParts ? 32 : 128;
  const written = length === undefined ? bits : Number(length);
  if (written > bits) throw new TypeError(`"${text}" has a length beyond ${bits}`);
  return networkOf(parsed, written, isFourParts, text);
}

/** Loopback, private and link-local (RFC 1122 §3.2.1.3, RFC 1918, RFC 3927; RFC 4291 §2.5.3, RFC 4193, RFC 4291 §2.5.6). */
export const PRIVATE_NETWORKS: readonly Network[] = [
  ...["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"],
  ...["::1", "fc00::/7", "fe80::/10"],
].map(parseNetwork);

function networkOf(
  { words, isIpv4 }: IpAddress,
  written: number,
  isFourParts: boolean,
  text: string,
): Network {
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const isMapped = isIpv4 && !isFourParts;
  if (isMapped && written < 96) {
    throw new TypeError(`"${text}" mixes IPv4 and IPv6; write one network for each`);
  }
  const length = isMapped ? written - 96 : written;
  const network = { isIpv4, words: words.slice(), length };
  for (let i = 0; i < 4; i++) {
    if ((network.words[i]! & ~mask(network, i)) === 0) continue;
    // An address with bits behind the prefix is a mistake, in the address or in the length.
    throw new TypeError(
      `"${text}" is an address within its network; write the network's first address, or no length`,
    );
  }
  return network;
}

/** The bits of a word that belong to the prefix. */
function mask({ isIpv4, length }: Network, word: number): number {
  if (isIpv4) return word < 3 ? 0 : upperBits(length);
  return upperBits(Math.min(Math.max(length - 32 * word, 0), 32));
}

function upperBits(count: number): number {
  return count === 0 ? 0 : -1 << 32 - count;
}

interface Row<Value> {
  readonly words: Int32Array;
  readonly masks: Int32Array;
  readonly value: Value;
}

/** Values of networks. A linear search is faster than a tree, because tables are small. */
export class NetworkTable<Value> {
  readonly #ipv4: readonly Row<Value>[];
  readonly #ipv6: readonly Row<Value>[];

  /** Of two equal networks, the first counts. */
  constructor(entries: readonly (readonly [Network, Value])[]) {
    const sorted = entries.toSorted(([one], [other]) => other.length - one.length);
    const rows = (isIpv4: boolean) => sorted.filter(([network]) => network.isIpv4 === isIpv4).map(row);
    this.#ipv4 = rows(true);
    this.#ipv6 = rows(false);
  }

  /** The value of the longest network that contains the address, or undefined. */
  find({ words, isIpv4 }: IpAddress): Value | undefined {
    if (isIpv4) {
      const address = words[IPV4_WORD]!;
      for (const row of this.#ipv4) {
        if ((address & row.masks[IPV4_WORD]!) === row.words[IPV4_WORD]) return row.value;
      }
      return undefined;
    }
    for (const row of this.#ipv6) if (isWithin(words, row)) return row.value;
    return undefined;
  }
}

function isWithin(address: Int32Array, { words, masks }: Row<unknown>): boolean {
  for (let i = 0; i < 4; i++) if ((address[i]! & masks[i]!) !== words[i]) return false;
  return true;
}

function row<Value>([network, value]: readonly [Network, Value]): Row<Value> {
  const words = network.words.slice();
  if (network.isIpv4) words.fill(0, 0, IPV4_WORD);
  return { words, masks: Int32Array.from(words, (_, i) => mask(network, i)), value };
}
