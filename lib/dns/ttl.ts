import { readUint16, writeUint16 } from "./records.ts";

/** A TTL that says more is taken for this, in seconds: seven days (RFC 8767 §4). */
const MOST = 604_800;
/** MNAME and RNAME take an octet each at least, the five numbers four each (RFC 1035 §3.3.13). */
const LEAST_SOA = 22;

/** The TTL at `offset`, in seconds. With its top bit set it is a large number and not a negative one (RFC 8767 §4). */
export function readTtl(bytes: Uint8Array, offset: number): number {
  return Math.min(readUint16(bytes, offset) * 0x10000 + readUint16(bytes, offset + 2), MOST);
}

export function writeTtl(bytes: Uint8Array, offset: number, ttl: number): void {
  writeUint16(bytes, offset, ttl >>> 16);
  writeUint16(bytes, offset + 2, ttl);
}

/** MINIMUM, the last number of an SOA record's data: how long a negative answer holds (RFC 2308 §4). */
export function soaMinimum(bytes: Uint8Array, data: number, end: number): number {
  return end - data < LEAST_SOA ? 0 : readTtl(bytes, end - 4);
}
