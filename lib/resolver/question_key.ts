/**
 * The key of a question: name in any case, type, class and variant. Questions with different keys never share an answer. All
 * functions read the bytes of a message, and create no object.
 */

import { Flag, HEADER_BYTES } from "../dns/header.ts";
import { readUint16 } from "../dns/bytes.ts";
import type { Message } from "../dns/message.ts";
import { lowerCase } from "../dns/name.ts";

/** Bits of a variant. */
export const DO = 1; // with signatures and proofs
const CD = 2; // RFC 4035 §3.2.2: data that was not validated is only for queries with CD
const NO_RECURSION = 4; // a server that may not recurse has other answers: referrals, or a refusal
/** Of entries only: the answer is from above a route's domain, and its denial does not hold for the routed name. */
export const PARENT_SIDE = 8;

/** The variant of a query. The route is not part of it, because it follows from the name. */
export function variantOf({ edns, flags }: Message): number {
  return makeVariant(flags, edns?.dnssecOk ?? false);
}

/** The same, from the query's flags and its DO bit. */
export function makeVariant(flags: number, dnssecOk: boolean): number {
  return (dnssecOk ? DO : 0) | (flags & Flag.CD ? CD : 0) | (flags & Flag.RD ? 0 : NO_RECURSION);
}

/** Whether a variant has signatures and proofs. */
export function wantsProofs(variant: number): boolean {
  return (variant & DO) !== 0;
}

/** QTYPE in the upper 16 bits and QCLASS in the lower. */
export function typeAndClass({ bytes, questionEnd }: Message): number {
  return readUint16(bytes, questionEnd - 4) << 16 | readUint16(bytes, questionEnd - 2);
}

/** Hash of a message's question and a variant. */
export function hashQuestion(message: Message, variant: number): number {
  return hash(message.bytes, HEADER_BYTES, message.questionEnd - 4, typeAndClass(message), variant);
}

/** Random in each process, so that no client can choose names with equal hashes. */
const [K0, K1] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number];

/**
 * HalfSipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"; the 32-bit form of Linux's siphash.c) over an
 * uncompressed name in lower case, type, class and variant. Clients choose the names, so a keyed hash is needed: the seed of
 * MurmurHash and similar functions does not prevent collisions.
 */
export function hash(
  bytes: Uint8Array,
  name: number,
  nameEnd: number,
  typeAndClass: number,
  variant: number,
): number {
  let v0 = K0;
  let v1 = K1;
  let v2 = K0 ^ 0x6c796765;
  let v3 = K1 ^ 0x74656462;
  // The words of the name, two more words, and three final rounds.
  for (let at = name, extra = 0; extra < 5;) {
    let word = 0;
    if (at < nameEnd) {
      for (let shift = 0; shift < 32 && at < nameEnd; shift += 8) word |= lowerCase(bytes[at++]!) << shift;
    } else {
      if (extra === 0) word = typeAndClass;
      else if (extra === 1) word = variant << 16 | nameEnd - name;
      else if (extra === 2) v2 ^= 0xff;
      extra++;
    }
    v3 ^= word;
    v0 = v0 + v1 | 0;
    v1 = (v1 << 5 | v1 >>> 27) ^ v0;
    v0 = v0 << 16 | v0 >>> 16;
    v2 = v2 + v3 | 0;
    v3 = (v3 << 8 | v3 >>> 24) ^ v2;
    v0 = v0 + v3 | 0;
    v3 = (v3 << 7 | v3 >>> 25) ^ v0;
    v2 = v2 + v1 | 0;
    v1 = (v1 << 13 | v1 >>> 19) ^ v2;
    v2 = v2 << 16 | v2 >>> 16;
    v0 ^= word;
  }
  return v1 ^ v3;
}
