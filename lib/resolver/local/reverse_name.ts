import { parseName } from "../../dns/name.ts";
import { type IpAddress, IPV4_WORD } from "../../net/ip_address.ts";

/** The name that PTR records of an address are found under (RFC 1035 §3.5, RFC 3596 §2.5). */
export function reverseName(address: IpAddress): Uint8Array {
  return parseName(reverseText(address));
}

function reverseText({ words, isIpv4 }: IpAddress): string {
  if (isIpv4) return `${octets(words[IPV4_WORD]!).reverse().join(".")}.in-addr.arpa`;
  const digits = [...words].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/** The octets of an address, as A and AAAA records have them. */
export function addressOctets({ words, isIpv4 }: IpAddress): Uint8Array {
  return Uint8Array.from(isIpv4 ? octets(words[IPV4_WORD]!) : [...words].flatMap(octets));
}

function octets(word: number): number[] {
  return [word >>> 24, word >>> 16 & 0xff, word >>> 8 & 0xff, word & 0xff];
}
