import { MAX_NAME_BYTES } from "./name.ts";
import { Flag, HEADER_BYTES, HeaderField, OPCODE_MASK } from "./header.ts";
import { readUint16 } from "./bytes.ts";
import { Type } from "./codes.ts";
import { DNSSEC_OK, OPT_BYTES } from "./edns.ts";

/** QR and the opcode: all zero in a standard query (RFC 1035 §4.1.1). */
const NOT_A_QUERY = Flag.QR | OPCODE_MASK;
/** The smallest limit of UDP, and the one of who says nothing (RFC 1035 §4.2.1, RFC 6891 §6.2.3). */
const LEAST_SIZE = 512;

const MAX_LABEL = 63;

/**
 * What almost every query is: a header, one question, and an OPT record of version 0 or nothing behind it. Read where it
 * stands and without an object, one after the other; whatever is not so plain is left to `Message`.
 */
export class QueryView {
  /** Where it stands. */
  start = 0;
  /** Offset behind QNAME, and behind the question. */
  nameEnd = 0;
  questionEnd = 0;
  flags = 0;
  hasOpt = false;
  dnssecOk = false;
  /** The largest UDP payload that the client takes, in octets. */
  udpSize = LEAST_SIZE;

  /** Whether these octets are a plain query; then the fields tell of it. */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < HEADER_BYTES + 5) return false;
    this.start = start;
    this.flags = readUint16(bytes, start + HeaderField.FLAGS);
    if ((this.flags & NOT_A_QUERY) !== 0 || !this.#readCounts(bytes, start)) return false;
    if (!this.#readQuestion(bytes, start + HEADER_BYTES, end)) return false;
    this.dnssecOk = false;
    this.udpSize = LEAST_SIZE;
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
      if (length > MAX_LABEL) return false;
      at += length + 1;
    }
    this.nameEnd = at + 1;
    this.questionEnd = at + 5;
    // OPT, and the types that are no data (RFC 6895 §3.1): ANY and transfers.
    const type = readUint16(bytes, this.nameEnd);
    return type !== Type.OPT && (type < 0x80 || type > 0xff);
  }

  #readOpt(bytes: Uint8Array, at: number, end: number): boolean {
    const options = at + OPT_BYTES;
    if (options > end || bytes[at] !== 0 || readUint16(bytes, at + 1) !== Type.OPT) return false;
    const isVersion0 = bytes[at + 6] === 0;
    if (!isVersion0 || options + readUint16(bytes, at + 9) !== end) return false;
    this.udpSize = Math.max(readUint16(bytes, at + 3), LEAST_SIZE);
    this.dnssecOk = (readUint16(bytes, at + 7) & DNSSEC_OK) !== 0;
    let option = options;
    while (option + 4 <= end) option += 4 + readUint16(bytes, option + 2);
    return option === end;
  }
}
