import { Flag, HEADER_BYTES, HeaderField, RCODE_MASK } from "../header.ts";
import { writeUint16 } from "../bytes.ts";
import { Class, Type } from "../codes.ts";
import { Message } from "../message.ts";
import { composeOptRecord } from "../edns.ts";
import { writeTtl } from "../records.ts";

/** What a response of our own says. */
export interface ResponseFields {
  readonly rcode: number;
  /** Whether we are who knows (RFC 1035 §4.1.1, AA): for our own names, but not where others' are kept back. */
  readonly authoritative: boolean;
  /** Whether all of it has been validated (AD); not unless given. */
  readonly authenticated?: boolean;
  /** Whether records are missing that the client may get over TCP (TC); not unless given. */
  readonly truncated?: boolean;
  /** Whole records, of `composeRecord`. */
  readonly answers?: readonly Uint8Array[];
  readonly authority?: readonly Uint8Array[];
  readonly additional?: readonly Uint8Array[];
  /** EDNS options, each of `composeReason`. */
  readonly extendedErrors?: readonly Uint8Array[];
}

/** A response to the query that no upstream was asked for, as one from upstream would be: the reply is made of it. */
export function composeResponse(query: Message, fields: ResponseFields): Message {
  const { rcode, authoritative, authenticated = false, truncated = false, extendedErrors = [] } = fields;
  const { answers = [], authority = [], additional = [] } = fields;
  const { questionEnd } = query;
  const opts = extendedErrors.length > 0 ? [composeOptRecord(rcode, extendedErrors)] : [];
  const parts = [...answers, ...authority, ...additional, ...opts];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, questionEnd));
  bytes.set(query.bytes.subarray(0, questionEnd));
  const flags = Flag.QR | Flag.RA | query.flags & (Flag.RD | Flag.CD) | (authoritative ? Flag.AA : 0) |
    (truncated ? Flag.TC : 0) | (authenticated ? Flag.AD : 0);
  writeUint16(bytes, HeaderField.FLAGS, flags | rcode & RCODE_MASK);
  writeUint16(bytes, HeaderField.QUESTIONS, 1);
  writeUint16(bytes, HeaderField.ANSWERS, answers.length);
  writeUint16(bytes, HeaderField.AUTHORITY, authority.length);
  writeUint16(bytes, HeaderField.ADDITIONAL, additional.length + opts.length);
  let at = questionEnd;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return Message.parse(bytes);
}

/** A compression pointer to the name in the question (RFC 1035 §4.1.4), as the owner of what is asked for. */
export const QUESTION_NAME: Uint8Array = Uint8Array.of(0xc0, HEADER_BYTES);

/** One record of class IN. */
export function composeRecord(owner: Uint8Array, type: number, ttl: number, data: Uint8Array): Uint8Array {
  const fixed = owner.length;
  const record = new Uint8Array(fixed + 10 + data.length);
  record.set(owner);
  writeUint16(record, fixed, type);
  writeUint16(record, fixed + 2, Class.IN);
  writeTtl(record, fixed + 4, ttl);
  writeUint16(record, fixed + 8, data.length);
  record.set(data, fixed + 10);
  return record;
}

/** nobody.invalid. 1 3600 1200 604800: what RFC 6303 §3 has in its SOA record, up to the last number. */
const SOA_REST = Uint8Array.of(
  ...[6, ...new TextEncoder().encode("nobody"), 7, ...new TextEncoder().encode("invalid"), 0],
  ...[0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 4, 0xb0, 0, 9, 0x3a, 0x80],
);

/** The SOA record that makes a "no" hold for `ttl` seconds (RFC 2308 §5), of a zone that begins at `owner`. */
export function composeSoa(owner: Uint8Array, ttl: number): Uint8Array {
  const data = new Uint8Array(owner.length + SOA_REST.length + 4);
  data.set(owner);
  data.set(SOA_REST, owner.length);
  writeTtl(data, data.length - 4, ttl);
  return composeRecord(owner, Type.SOA, ttl, data);
}

/** A pointer to the end of the name in the question that begins at `offset`: what is asked for is below it. */
export function composePointer(offset: number): Uint8Array {
  return Uint8Array.of(0xc0 | offset >> 8, offset & 0xff);
}

/**
 * The SOA record for a "no" about the name in the question, of a zone that begins one label above it: at the name itself
 * the record would be one that the name does not have.
 */
export function composeSoaAbove({ bytes }: Message, ttl: number): Uint8Array {
  return composeSoa(composePointer(parentOffset(bytes, HEADER_BYTES)), ttl);
}

/** Offset of the name one label above a plain name; that of the root itself. */
export function parentOffset(bytes: Uint8Array, name: number): number {
  return bytes[name] === 0 ? name : name + bytes[name]! + 1;
}
