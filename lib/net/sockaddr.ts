/** struct sockaddr_in and sockaddr_in6, as Linux has them. */
import { IpAddress, IPV4_WORD } from "./ip_address.ts";

/** Octets of the longer one, with padding. */
export const SOCKADDR_BYTES = 32;

const AF_INET = 2;
const AF_INET6 = 10;

/**
 * The socket address of an IP address, without brackets or zone, and a port.
 *
 * @param scope the index of the link that a link-local address is on; 0 for none
 */
export function composeSockaddr(address: string, port: number, scope = 0): Uint8Array<ArrayBuffer> {
  const composed = new Uint8Array(SOCKADDR_BYTES);
  const view = new DataView(composed.buffer);
  const { words } = new IpAddress().read(address);
  const isIpv4 = !address.includes(":");
  composed[0] = isIpv4 ? AF_INET : AF_INET6; // the family is in the host's order, here always the lower octet first
  view.setUint16(2, port);
  if (isIpv4) view.setInt32(4, words[IPV4_WORD]!);
  else {
    words.forEach((word, i) => view.setInt32(8 + 4 * i, word));
    view.setUint32(24, scope, true); // as the family, in the host's order
  }
  return composed;
}

/** Octets that the kernel wants to be told of. */
export function sockaddrLength(address: Uint8Array, at = 0): number {
  return address[at] === AF_INET ? 16 : 28;
}

/** Reads the IP address of what stands at `at` into `words`. */
export function readSockaddr(address: Uint8Array, at: number, words: IpAddress): IpAddress {
  return address[at] === AF_INET ? words.readBytes(address, at + 4, 4) : words.readBytes(address, at + 8, 16);
}

export function sockaddrPort(address: Uint8Array): number {
  return address[2]! << 8 | address[3]!;
}

/** The same address with another port, as long as the kernel wants it. */
export function withPort(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const other = address.slice(0, sockaddrLength(address)) as Uint8Array<ArrayBuffer>;
  other[2] = port >> 8;
  other[3] = port & 0xff;
  return other;
}

/** An IPv4 address as a number; undefined for IPv6. */
export function sockaddrIpv4(address: Uint8Array): number | undefined {
  if (address[0] !== AF_INET) return undefined;
  return (address[4]! << 24 | address[5]! << 16 | address[6]! << 8 | address[7]!) >>> 0;
}

/** The IP address as Deno writes it: dotted, or as RFC 5952 wants it. */
export function sockaddrText(address: Uint8Array): string {
  if (address[0] === AF_INET) return `${address[4]}.${address[5]}.${address[6]}.${address[7]}`;
  const groups = Array.from({ length: 8 }, (_, i) => address[8 + 2 * i]! << 8 | address[9 + 2 * i]!);
  const [start, length] = longestZeros(groups);
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Where the longest run of zero groups starts, the first of several, and how long it is. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}
