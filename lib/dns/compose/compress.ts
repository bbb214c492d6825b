/** Compresses owner names, and composes a response anew from some of another's records. */

import { Flag, HEADER_BYTES } from "../header.ts";
import { joinBytes, readUint16 } from "../bytes.ts";
import { Type } from "../codes.ts";
import { decompressRecord } from "./decompress.ts";
import type { Message } from "../message.ts";
import { lowerCase, POINTER, skipPlainName } from "../name.ts";
import { FIXED_BYTES, RecordCursor } from "../records.ts";
import { composePointer, composeResponse } from "./local_response.ts";

/** The largest offset that the 14 bits of a pointer can express (RFC 1035 §4.1.4). */
const MAX_POINTER_TARGET = 0x3fff;

/**
 * Replaces owner names by pointers to earlier occurrences: QNAME, owners, and targets of CNAME records. So a response
 * with decompressed records keeps about its original length. The sections will follow the question of `query`. Their
 * owners are uncompressed, or pointers to QNAME.
 */
export function compressOwners(query: Message, sections: readonly Uint8Array[][]): void {
  const known = new Map([[keyOf(query.bytes.subarray(HEADER_BYTES, query.questionEnd - 4)), HEADER_BYTES]]);
  let at = query.questionEnd;
  const note = (record: Uint8Array, from: number, to: number) => {
    if (at + from <= MAX_POINTER_TARGET) known.set(keyOf(record.subarray(from, to)), at + from);
  };
  for (const records of sections) {
    for (const [i, record] of records.entries()) {
      const isPointer = record[0]! >= POINTER;
      const ownerEnd = isPointer ? 2 : skipPlainName(record, 0);
      const offset = isPointer ? undefined : known.get(keyOf(record.subarray(0, ownerEnd)));
      const written = offset === undefined
        ? record
        : joinBytes([composePointer(offset), record.subarray(ownerEnd)]);
      if (offset === undefined && !isPointer) note(record, 0, ownerEnd);
      const data = (offset === undefined ? ownerEnd : 2) + FIXED_BYTES;
      if (readUint16(written, data - FIXED_BYTES) === Type.CNAME) note(written, data, written.length);
      records[i] = written;
      at += written.length;
    }
  }
}

/** The name without its case: names that differ in case are equal (RFC 4343 §3). */
function keyOf(name: Uint8Array): string {
  return name.map(lowerCase).toHex();
}

/**
 * A response to the query with the records of another response, without the types that are `leftOut`. Names are
 * decompressed and compressed again, because pointers may lead to a removed record. Throws `FormatError`.
 */
export function recompose(query: Message, response: Message, leftOut: (type: number) => boolean): Message {
  const { bytes, questionEnd, recordsEnd, rcode, flags, edns } = response;
  const kept = { answer: [] as Uint8Array[], authority: [] as Uint8Array[], additional: [] as Uint8Array[] };
  const cursor = new RecordCursor(bytes, questionEnd);
  while (cursor.next() && cursor.start < recordsEnd) {
    if (!leftOut(cursor.type)) kept[cursor.section].push(decompressRecord(bytes, cursor));
  }
  const { answer: answers, authority, additional } = kept;
  compressOwners(query, [answers, authority, additional]);
  return composeResponse(query, {
    rcode,
    authoritative: false,
    authenticated: (flags & Flag.AD) !== 0,
    truncated: (flags & Flag.TC) !== 0,
    answers,
    authority,
    additional,
    extendedErrors: edns?.extendedErrors() ?? [],
  });
}
