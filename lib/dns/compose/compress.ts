import { Flag, HEADER_BYTES } from "../header.ts";
import { joinBytes, readUint16 } from "../bytes.ts";
import { Type } from "../codes.ts";
import { decompressRecord } from "./decompress.ts";
import type { Message } from "../message.ts";
import { lowerCase, skipPlainName } from "../name.ts";
import { RecordCursor } from "../records.ts";
import { composePointer, composeResponse } from "./local_response.ts";

/** A pointer has 14 bits for the offset (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;
/** TYPE, CLASS, TTL and RDLENGTH, in octets. */
const FIXED = 10;

/**
 * Puts pointers in the place of owners that stand before in the message: in the question, as owners, or as targets of
 * aliases. So an answer whose records were spelled out stays about as long as it was. The sections follow the question of
 * `query`; their records have plain owners, or pointers to the name in the question.
 */
export function compressOwners(query: Message, sections: readonly Uint8Array[][]): void {
  const known = new Map([[keyOf(query.bytes.subarray(HEADER_BYTES, query.questionEnd - 4)), HEADER_BYTES]]);
  let at = query.questionEnd;
  const note = (record: Uint8Array, from: number, to: number) => {
    if (at + from <= MAX_POINTER) known.set(keyOf(record.subarray(from, to)), at + from);
  };
  for (const records of sections) {
    for (const [i, record] of records.entries()) {
      const isPointer = record[0]! >= 0xc0;
      const ownerEnd = isPointer ? 2 : skipPlainName(record, 0);
      const offset = isPointer ? undefined : known.get(keyOf(record.subarray(0, ownerEnd)));
      const written = offset === undefined
        ? record
        : joinBytes([composePointer(offset), record.subarray(ownerEnd)]);
      if (offset === undefined && !isPointer) note(record, 0, ownerEnd);
      const data = (offset === undefined ? ownerEnd : 2) + FIXED;
      if (readUint16(written, data - FIXED) === Type.CNAME) note(written, data, written.length);
      records[i] = written;
      at += written.length;
    }
  }
}

/** Names are the same whatever their case (RFC 4343 §3): an owner is written as the client has written it. */
function keyOf(name: Uint8Array): string {
  return name.map(lowerCase).toHex();
}

/**
 * A response for this query with the records of another, but those of types that are `leftOut`: each is spelled out and
 * compressed anew, since pointers may lead anywhere. Throws `FormatError` where the data of a record is malformed.
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
