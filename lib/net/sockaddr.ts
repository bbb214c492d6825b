/** Linux's struct sockaddr_in and sockaddr_in6. */

import { IpAddress, IPV4_WORD } from "./ip_address.ts";

/** Size of the buffer for one socket address: the longer struct, padded. */
export const SOCKADDR_BYTES = 32;

const AF_INET = 2;
const AF_INET6 = 10;

/**
 * The socket address of an IP address and a port. The address is without brackets and zone.
 *
 * @param scope index of the network interface of a link-local address; 0 for other addresses
 */
export function composeSockaddr(address: string, port: number, scope = 0): Uint8Array<ArrayBuffer> {
  const composed = new Uint8Array(SOCKADDR_BYTES);
  const view = new DataView(composed.buffer);
  const { words } = new IpAddress().read(address);
  const isIpv4 = !address.includes(":");
  composed[0] = isIpv4 ? AF_INET : AF_INET6; // in host order, which is little-endian on all supported machines
  view.setUint16(2, port);
  if (isIpv4) view.setInt32(4, words[IPV4_WORD]!);
  else {
    words.forEach((word, i) => view.setInt32(8 + 4 * i, word));
    view.setUint32(24, scope, true); // in host order
  }
  return composed;
}

/** Length of the struct, which calls into the kernel need. */
export function sockaddrLength(address: Uint8Array, at = 0): number {
  return address[at] === AF_INET ? 16 : 28;
}

/** Reads the IP address of the socket address at `at` into `words`. */
export function readSockaddr(address: Uint8Array, at: number, words: IpAddress): IpAddress {
  return address[at] === AF_INET ? words.readBytes(address, at + 4, 4) : words.readBytes(address, at + 8, 16);
}

/** The port, 0 to 65535. */
export function sockaddrPort(address: Uint8Array): number {
  return address[2]! << 8 | address[3]!;
}

/** A copy with another port, of the struct's length. */
export function withPort(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const other = address.slice(0, sockaddrLength(address)) as Uint8Array<ArrayBuffer>;
  other[2] = port >> 8;
  other[3] = port & 0xff;
  return other;
}

/** The IPv4 address as an unsigned number; undefined for IPv6. */
export function sockaddrIpv4(address: Uint8Array): number | undefined {
  if (address[0] !== AF_INET) return undefined;
  return (address[4]! << 24 | address[5]! << 16 | address[6]! << 8 | address[7]!) >>> 0;
}

/** The IP address as text in Deno's form: dotted for IPv4, by RFC 5952 for IPv6. */
export function sockaddrText(address: Uint8Array): string {
  if (address[0] === AF_INET) return `${address[4]}.${address[5]}.${address[6]}.${address[7]}`;
  const groups = Array.from({ length: 8 }, (_, i) => address[8 + 2 * i]! << 8 | address[9 + 2 * i]!);
  const [start, length] = longestZeros(groups);
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return text(groups);
  return `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Start and length of the longest run of zero groups; the first of several. */
function longestZeros(groups: readonly number[]): [start: number, length: number] {
  let best: [number, number] = [0, 0];
  for (let start = 0; start < groups.length; start++) {
    let end = start;
    while (groups[end] === 0) end++;
    if (end - start > best[1]) best = [start, end - start];
  }
  return best;
}
