import { Type } from "./codes.ts";
import { HEADER, type Message } from "./message.ts";
import { skipPlainName } from "./name.ts";
import { readUint16 } from "./records.ts";
import { questionSuffix } from "./response.ts";

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
  const known = new Map([[query.bytes.subarray(HEADER, query.questionEnd - 4).toHex(), HEADER]]);
  let at = query.questionEnd;
  const note = (record: Uint8Array, from: number, to: number) => {
    if (at + from <= MAX_POINTER) known.set(record.subarray(from, to).toHex(), at + from);
  };
  for (const records of sections) {
    for (const [i, record] of records.entries()) {
      const isPointer = record[0]! >= 0xc0;
      const ownerEnd = isPointer ? 2 : skipPlainName(record, 0);
      const offset = isPointer ? undefined : known.get(record.subarray(0, ownerEnd).toHex());
      const written = offset === undefined
        ? record
        : joined(questionSuffix(offset), record.subarray(ownerEnd));
      if (offset === undefined && !isPointer) note(record, 0, ownerEnd);
      const data = (offset === undefined ? ownerEnd : 2) + FIXED;
      if (readUint16(written, data - FIXED) === Type.CNAME) note(written, data, written.length);
      records[i] = written;
      at += written.length;
    }
  }
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const whole = new Uint8Array(one.length + other.length);
  whole.set(one);
  whole.set(other, one.length);
  return whole;
}
