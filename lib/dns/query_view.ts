/** A fast reader of plain queries, for the fast path of cache hits. */

import { MAX_NAME_BYTES } from "./name.ts";
import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK } from "./header.ts";
import { readUint16 } from "./bytes.ts";
import { Type } from "./codes.ts";
import { DNSSEC_OK, OPT_BYTES } from "./edns.ts";

/** QR and the opcode are zero in a standard query (RFC 1035 §4.1.1). */
const NOT_A_QUERY = Flag.QR | OPCODE_MASK;
/** UDP size of clients without EDNS, and the minimum with EDNS (RFC 1035 §4.2.1, RFC 6891 §6.2.3). */
const MIN_UDP_SIZE = 512;
const MAX_LABEL_BYTES = 63;

/**
 * A query with one question and at most an OPT record of version 0, like almost every query. One view reads all queries
 * in place, one after the other, without allocations. `Message` reads the others.
 */
export class QueryView {
  /** Offset of the header. */
  start = 0;
  /** Offset behind QNAME. */
  nameEnd = 0;
  /** Offset behind the question. */
  questionEnd = 0;
  flags = 0;
  hasOpt = false;
  dnssecOk = false;
  /** The largest UDP payload that the client accepts, in bytes. */
  udpSize = MIN_UDP_SIZE;

  /** Reads a message. Returns whether it is a plain query; only then do the fields describe it. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < HEADER_BYTES + 5) return false;
    this.start = start;
    this.flags = readUint16(bytes, start + HeaderField.FLAGS);
    if ((this.flags & NOT_A_QUERY) !== 0 || !this.#readCounts(bytes, start)) return false;
    if (!this.#readQuestion(bytes, start + HEADER_BYTES, end)) return false;
    this.dnssecOk = false;
    this.udpSize = MIN_UDP_SIZE;
    return this.hasOpt ? this.#readOpt(bytes, this.questionEnd, end) : this.questionEnd === end;
  }

  /** QTYPE in the upper 16 bits and QCLASS in the lower. */
  typeAndClass(bytes: Uint8Array): number {
    return readUint16(bytes, this.nameEnd) << 16 | readUint16(bytes, this.nameEnd + 2);
  }

  #readCounts(bytes: Uint8Array, start: number): boolean {
    const questions = readUint16(bytes, start + HeaderField.QUESTIONS);
    const additional = readUint16(bytes, start + HeaderField.ADDITIONAL);
    this.hasOpt = additional === 1;
    return questions === 1 && readUint16(bytes, start + HeaderField.ANSWERS) === 0 &&
      readUint16(bytes, start + HeaderField.AUTHORITY) === 0 &&
      additional <= 1;
  }

  #readQuestion(bytes: Uint8Array, name: number, end: number): boolean {
    const limit = Math.min(end - 4, name + MAX_NAME_BYTES);
    let at = name;
    for (;;) {
      if (at >= limit) return false;
      const length = bytes[at]!;
      if (length === 0) break;
      if (length > MAX_LABEL_BYTES) return false;
      at += length + 1;
    }
    this.nameEnd = at + 1;
    this.questionEnd = at + 5;
    // Excludes OPT and the types of questions only, such as ANY and transfers (RFC 6895 §3.1).
    const type = readUint16(bytes, this.nameEnd);
    return type !== Type.OPT && (type < 0x80 || type > 0xff);
  }

  #readOpt(bytes: Uint8Array, at: number, end: number): boolean {
    const options = at + OPT_BYTES;
    if (options > end || bytes[at] !== 0 || readUint16(bytes, at + 1) !== Type.OPT) return false;
    const isVersion0 = bytes[at + 6] === 0;
    if (!isVersion0 || options + readUint16(bytes, at + 9) !== end) return false;
    this.udpSize = Math.max(readUint16(bytes, at + 3), MIN_UDP_SIZE);
    this.dnssecOk = (readUint16(bytes, at + 7) & DNSSEC_OK) !== 0;
    let option = options;
    while (option + 4 <= end) option += 4 + readUint16(bytes, option + 2);
    return option === end;
  }
}
