/** Responses and records that this program makes itself. The reply is composed of them as of an upstream's response. */

import { Flag, HEADER_BYTES, HeaderField, RCODE_MASK } from "../header.ts";
import { joinBytes, writeUint16 } from "../bytes.ts";
import { POINTER } from "../name.ts";
import { Class, Type } from "../codes.ts";
import { Message } from "../message.ts";
import { composeOptRecord } from "../edns.ts";
import { FIXED_BYTES, writeTtl } from "../records.ts";

/** The contents of a response. */
export interface ResponseFields {
  readonly rcode: number;
  /** AA (RFC 1035 §4.1.1): true for local names, false for blocked and filtered names of others. */
  readonly authoritative: boolean;
  /** AD: all of it was validated. Default false. */
  readonly authenticated?: boolean;
  /** TC: records are missing that the client can get over TCP. Default false. */
  readonly truncated?: boolean;
  /** Complete records, as of `composeRecord`. */
  readonly answers?: readonly Uint8Array[];
  readonly authority?: readonly Uint8Array[];
  readonly additional?: readonly Uint8Array[];
  /** EDNS options, as of `composeExtendedError`. */
  readonly extendedErrors?: readonly Uint8Array[];
}

/** A response to the query, in the form of an upstream's response. */
export function composeResponse(query: Message, fields: ResponseFields): Message {
  const { rcode, authoritative, authenticated = false, truncated = false, extendedErrors = [] } = fields;
  const { answers = [], authority = [], additional = [] } = fields;
  const opts = extendedErrors.length > 0 ? [composeOptRecord(rcode, extendedErrors)] : [];
  const question = query.bytes.subarray(0, query.questionEnd);
  const bytes = joinBytes([question, ...answers, ...authority, ...additional, ...opts]);
  const flags = Flag.QR | Flag.RA | query.flags & (Flag.RD | Flag.CD) | (authoritative ? Flag.AA : 0) |
    (truncated ? Flag.TC : 0) | (authenticated ? Flag.AD : 0);
  writeUint16(bytes, HeaderField.FLAGS, flags | rcode & RCODE_MASK);
  writeUint16(bytes, HeaderField.QUESTIONS, 1);
  writeUint16(bytes, HeaderField.ANSWERS, answers.length);
  writeUint16(bytes, HeaderField.AUTHORITY, authority.length);
  writeUint16(bytes, HeaderField.ADDITIONAL, additional.length + opts.length);
  return Message.parse(bytes);
}

/** A compression pointer to QNAME (RFC 1035 §4.1.4), for records owned by QNAME. */
export const QUESTION_NAME: Uint8Array = composePointer(HEADER_BYTES);

/** A record of class IN. `ttl` is in seconds. */
export function composeRecord(owner: Uint8Array, type: number, ttl: number, data: Uint8Array): Uint8Array {
  const fixed = owner.length;
  const record = new Uint8Array(fixed + FIXED_BYTES + data.length);
  record.set(owner);
  writeUint16(record, fixed, type);
  writeUint16(record, fixed + 2, Class.IN);
  writeTtl(record, fixed + 4, ttl);
  writeUint16(record, fixed + 8, data.length);
  record.set(data, fixed + FIXED_BYTES);
  return record;
}

/** nobody.invalid. 1 3600 1200 604800: the SOA data of RFC 6303 §3 between MNAME and MINIMUM. */
const SOA_REST = Uint8Array.of(
  ...[6, ...new TextEncoder().encode("nobody"), 7, ...new TextEncoder().encode("invalid"), 0],
  ...[0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 4, 0xb0, 0, 9, 0x3a, 0x80],
);

/** The SOA record of the zone `owner`, which lets clients cache a negative answer for `ttl` seconds (RFC 2308 §5). */
export function composeSoa(owner: Uint8Array, ttl: number): Uint8Array {
  const data = new Uint8Array(owner.length + SOA_REST.length + 4);
  data.set(owner);
  data.set(SOA_REST, owner.length);
  writeTtl(data, data.length - 4, ttl);
  return composeRecord(owner, Type.SOA, ttl, data);
}

/** A compression pointer to the name at `offset`. */
export function composePointer(offset: number): Uint8Array {
  return Uint8Array.of(POINTER | offset >> 8, offset & 0xff);
}

/**
 * The SOA record of a negative answer for QNAME, owned by the parent of QNAME. A record owned by QNAME would contradict
 * the answer.
 */
export function composeSoaAbove({ bytes }: Message, ttl: number): Uint8Array {
  return composeSoa(composePointer(parentOffset(bytes, HEADER_BYTES)), ttl);
}

/** Offset of the parent of an uncompressed name; the root is its own parent. */
export function parentOffset(bytes: Uint8Array, name: number): number {
  return bytes[name] === 0 ? name : name + bytes[name]! + 1;
}
