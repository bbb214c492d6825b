/** Composes messages of entries: the cache's responses. */

import { Flag, HEADER_BYTES, HeaderField, RCODE_MASK } from "../../dns/header.ts";
import { readUint16, writeUint16 } from "../../dns/bytes.ts";
import { ExtendedError, Rcode, Type } from "../../dns/codes.ts";
import { recompose } from "../../dns/compose/compress.ts";
import { Message } from "../../dns/message.ts";
import { composeOptRecord, OPT_BYTES } from "../../dns/edns.ts";
import { composeExtendedError } from "../../dns/compose/reply.ts";
import { isProof } from "./cacheability.ts";
import type { Entries } from "./store/entry.ts";
import type { Ref } from "./store/index.ts";

/** TTL of stale records: "RECOMMENDED to be set to 30" (RFC 8767 §4). */
const STALE_TTL_SECONDS = 30;
/** The highest offset of a compression pointer (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;

/** The longest reply over UDP: the upper end of --max-udp-size. */
const MAX_UDP_BYTES = 4096;

/**
 * The entry as the response to a query for its name, with its TTLs reduced by its age. Over UDP it leaves out records for which
 * no reply has room, so that a large entry costs no more than the part that is sent: see `subtractCounts`.
 */
export function freshMessage(
  entries: Entries,
  ref: Ref,
  query: Message,
  ageSeconds: number,
  isUdp: boolean,
): Message {
  const { questionEnd } = query;
  const records = recordsFor(entries, ref, isUdp);
  const length = lengthFor(entries, ref, records);
  const errors = entries.extendedErrorsLength(ref);
  const end = questionEnd + length;
  const bytes = new Uint8Array(errors === 0 ? end : end + OPT_BYTES + errors);
  startMessage(entries, ref, query, bytes);
  entries.copyRecords(ref, bytes, questionEnd, ageSeconds, records, length);
  subtractCounts(bytes, entries.records(ref) - records);
  if (errors === 0) return Message.ofCheckedRecords(bytes, questionEnd);
  addOpt(bytes, end, composeOptRecord(0, [extendedErrors(entries, ref)]));
  return Message.parse(bytes);
}

/** The extended errors of an entry, as options. */
function extendedErrors(entries: Entries, ref: Ref): Uint8Array {
  const errors = new Uint8Array(entries.extendedErrorsLength(ref));
  entries.copyExtendedErrors(ref, errors, 0);
  return errors;
}

function addOpt(bytes: Uint8Array, at: number, opt: Uint8Array): void {
  bytes.set(opt, at);
  writeUint16(bytes, HeaderField.ADDITIONAL, readUint16(bytes, HeaderField.ADDITIONAL) + 1);
}

const STALE = composeExtendedError({ code: ExtendedError.STALE_ANSWER, text: "" });
const STALE_NXDOMAIN = composeExtendedError({ code: ExtendedError.STALE_NXDOMAIN, text: "" });

/** The same for a stale entry, with an extended error (RFC 8767 §4, RFC 8914 §4.4 and §4.20). */
export function staleMessage(entries: Entries, ref: Ref, query: Message, isUdp: boolean): Message {
  const reason = (entries.flags(ref) & RCODE_MASK) === Rcode.NXDOMAIN ? STALE_NXDOMAIN : STALE;
  const opt = composeOptRecord(0, [reason, extendedErrors(entries, ref)]);
  const { questionEnd } = query;
  const records = recordsFor(entries, ref, isUdp);
  const length = lengthFor(entries, ref, records);
  const bytes = new Uint8Array(questionEnd + length + opt.length);
  startMessage(entries, ref, query, bytes);
  const end = entries.copyRecordsWithTtl(ref, bytes, questionEnd, STALE_TTL_SECONDS, records, length);
  subtractCounts(bytes, entries.records(ref) - records);
  addOpt(bytes, end, opt);
  return Message.parse(bytes);
}

/**
 * An NXDOMAIN cut as the response to a query for a name below it (RFC 8020 §2). The question is longer than that of the entry, so
 * each compression pointer is raised by the difference. Undefined if a name leaves the message, or a pointer would be too high.
 */
export function messageBelow(
  entries: Entries,
  ref: Ref,
  query: Message,
  ageSeconds: number,
): Message | undefined {
  const message = freshMessage(entries, ref, query, ageSeconds, false);
  const { bytes, questionEnd } = message;
  if (bytes.length > MAX_POINTER) return undefined;
  const longer = questionEnd - 4 - HEADER_BYTES - (entries.nameEnd(ref) - entries.nameAt(ref));
  for (let at = questionEnd; at < bytes.length;) {
    const fixed = moveName(bytes, at, longer);
    if (fixed === undefined || fixed + 10 > bytes.length) return undefined;
    const data = fixed + 10;
    const end = data + readUint16(bytes, fixed + 8);
    // The other types in a cut, RRSIG, NSEC and NSEC3, have no compressed names in their data: see `Cacheability`.
    if (readUint16(bytes, fixed) === Type.SOA) {
      const second = moveName(bytes, data, longer);
      const behind = second === undefined ? undefined : moveName(bytes, second, longer);
      if (behind === undefined || behind > end) return undefined;
    }
    at = end;
  }
  return message;
}

/** A response to a query with DO, reduced to what a query without DO gets (RFC 4035 §3.2.1: "MUST strip any authenticating RRs"). */
export function withoutProofs(query: Message, response: Message): Message {
  return recompose(query, response, (type) => isProof(type) && type !== response.type);
}

/** Number of records to copy. For a large entry over UDP, one more than any reply has room for, so that the reply is truncated. */
function recordsFor(entries: Entries, ref: Ref, isUdp: boolean): number {
  const isLarge = isUdp && entries.recordsLength(ref) > MAX_UDP_BYTES;
  return isLarge ? entries.recordsBeyond(ref, MAX_UDP_BYTES) : entries.records(ref);
}

function lengthFor(entries: Entries, ref: Ref, records: number): number {
  return records < entries.records(ref) ? entries.lengthOf(ref, records) : entries.recordsLength(ref);
}

/** Subtracts the last `count` records from the header's counts. Sets TC if one is not additional data (RFC 2181 §9). */
function subtractCounts(bytes: Uint8Array, count: number): void {
  for (
    let at: number = HeaderField.ADDITIONAL, left = count;
    left > 0 && at >= HeaderField.ANSWERS;
    at -= 2
  ) {
    const taken = Math.min(left, readUint16(bytes, at));
    writeUint16(bytes, at, readUint16(bytes, at) - taken);
    left -= taken;
    if (taken > 0 && at < HeaderField.ADDITIONAL) bytes[HeaderField.FLAGS]! |= Flag.TC >> 8;
  }
}

function startMessage(entries: Entries, ref: Ref, query: Message, into: Uint8Array): void {
  const { bytes, questionEnd } = query;
  for (let i = 0; i < questionEnd; i++) into[i] = bytes[i]!;
  entries.copyHeader(ref, into, 0);
}

/**
 * Raises the pointer at the end of a name, if there is one. Returns the offset behind the name; undefined if the name leaves the
 * message. Each step moves forward by at least one byte.
 */
function moveName(bytes: Uint8Array, start: number, by: number): number | undefined {
  for (let at = start; at + 1 < bytes.length;) {
    const length = bytes[at]!;
    if (length === 0) return at + 1;
    if (length >= 0xc0) {
      writeUint16(bytes, at, readUint16(bytes, at) + by);
      return at + 2;
    }
    at += length + 1;
  }
  return undefined;
}
