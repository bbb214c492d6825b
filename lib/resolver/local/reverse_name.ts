/** Addresses as reverse names and as data of records. */

import { parseName } from "../../dns/name.ts";
import { type IpAddress, IPV4_WORD } from "../../net/ip_address.ts";

/** The name of an address's PTR records (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(address: IpAddress): Uint8Array {
  return parseName(reverseText(address));
}

function reverseText({ words, isIpv4 }: IpAddress): string {
  if (isIpv4) return `${bytesOf(words[IPV4_WORD]!).reverse().join(".")}.in-addr.arpa`;
  const digits = [...words].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/** The address as data of an A or AAAA record. */
export function addressBytes({ words, isIpv4 }: IpAddress): Uint8Array {
  return Uint8Array.from(isIpv4 ? bytesOf(words[IPV4_WORD]!) : [...words].flatMap(bytesOf));
}

function bytesOf(word: number): number[] {
  return [word >>> 24, word >>> 16 & 0xff, word >>> 8 & 0xff, word & 0xff];
}
