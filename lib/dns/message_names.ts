/** Checks all names of a message, at a cost that is linear in the message's length. */

import { HEADER_BYTES } from "./header.ts";
import { Type } from "./codes.ts";
import { FormatError } from "./format_error.ts";
import { byteAt, MAX_NAME_BYTES, MAX_POINTERS, nextLabel, POINTER, pointerTarget } from "./name.ts";

/** Number of offsets that the 14 bits of a compression pointer can express (RFC 1035 §4.1.4). */
const REACH = 0x4000;

/**
 * Checks the names of one message at a time, in the order of the message.
 *
 * Each label's offset of a checked name is remembered with the length of the rest of the name. A pointer to such an
 * offset costs one step, and no offset is visited twice. So the cost is bounded by the length of the message.
 */
export class MessageNames {
  /**
   * Whether each pointer led to a name of the message: QNAME, an owner, or a checked name in RDATA. A pointer to other
   * bytes may read a name from a TTL or an OPT record, which this program changes.
   */
  pointersLeadToNames = true;
  /** Number of visited offsets since the module was loaded. Tests compare it with the length of a message. */
  steps = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  /** By offset: number of the message in which the offset was checked last. */
  readonly #checkedIn = new Uint32Array(REACH);
  #message = 0;
  /** By checked offset: bytes and pointers from there to the root. Bytes count as if uncompressed. */
  readonly #lengths = new Uint8Array(REACH);
  readonly #pointers = new Uint8Array(REACH);
  /** Offsets of the labels and pointers of the current name. */
  readonly #path = new Uint16Array(MAX_NAME_BYTES + MAX_POINTERS + 1);
  #depth = 0;

  /** Starts the check of a message, and forgets the previous one. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#depth = 0;
    this.pointersLeadToNames = true;
    if (++this.#message <= 0xffff_ffff) return;
    this.#checkedIn.fill(0);
    this.#message = 1;
  }

  /**
   * Checks the name at `offset` and returns the offset behind it. The rules are those of `skipName`. Throws
   * `FormatError`.
   */
  check(offset: number): number {
    const bytes = this.#bytes;
    let behind = 0;
    let length = 0;
    let pointers = 0;
    this.#depth = 0;
    for (let limit = Infinity, start = offset, at = offset;;) {
      this.steps++;
      if (behind > 0 && this.#isChecked(at)) {
        length += this.#lengths[at]!;
        pointers += this.#pointers[at]!;
        break;
      }
      const labelBytes = byteAt(bytes, at);
      this.#path[this.#depth++] = at;
      if (labelBytes < POINTER) {
        length += labelBytes + 1;
        if (length > MAX_NAME_BYTES) break;
        if (labelBytes === 0) {
          behind ||= at + 1;
          break;
        }
        at = nextLabel(bytes, at, labelBytes);
        if (at >= limit) throw new FormatError("a compression pointer leads to no name before it");
        continue;
      }
      behind ||= at + 2;
      at = pointerTarget(bytes, at);
      if (at >= start) throw new FormatError("a compression pointer points forward");
      if (at < HEADER_BYTES) throw new FormatError("a compression pointer points into the header");
      if (++pointers > MAX_POINTERS) break;
      if (!this.#isChecked(at)) this.pointersLeadToNames = false;
      limit = start;
      start = at;
    }
    if (length > MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 bytes");
    if (pointers > MAX_POINTERS) throw new FormatError("a name has too many compression pointers");
    this.#remember(length, pointers);
    return behind;
  }

  /**
   * Checks the names in the data of a record. Throws `FormatError` if a name in one of the `COMPRESSIBLE` types is
   * malformed or does not end with the data. Names of other types are only possible targets of later pointers, so a
   * malformed one just clears `pointersLeadToNames`.
   */
  checkData(type: number, data: number, end: number): void {
    const fields = COMPRESSIBLE.get(type);
    if (!fields) return this.#checkPlainName(type, data, end);
    let at = data + fields.before;
    for (let i = 0; i < fields.names; i++) at = at < end ? this.check(at) : Infinity;
    if (at + fields.behind !== end) {
      throw new FormatError("a name in a record's data does not end with the data");
    }
  }

  #checkPlainName(type: number, data: number, end: number): void {
    const at = plainNameAt(this.#bytes, type, data, end);
    if (at === undefined) return;
    try {
      if (at < end && this.check(at) <= end) return;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
    }
    this.pointersLeadToNames = false;
  }

  #isChecked(offset: number): boolean {
    return offset < REACH && this.#checkedIn[offset] === this.#message;
  }

  /** Stores, for each offset of the path, the length of the rest of the name. */
  #remember(length: number, pointers: number): void {
    for (let i = 0; i < this.#depth; i++) {
      const at = this.#path[i]!;
      const labelBytes = this.#bytes[at]!;
      if (at < REACH) {
        this.#checkedIn[at] = this.#message;
        this.#lengths[at] = length;
        this.#pointers[at] = pointers;
      }
      if (labelBytes >= POINTER) pointers--;
      else length -= labelBytes + 1;
    }
  }
}

/** Layout of the data of a type: bytes before the names, number of names, bytes behind the names. */
export interface NamesInData {
  readonly before: number;
  readonly names: number;
  readonly behind: number;
}

const ONE_NAME: NamesInData = { before: 0, names: 1, behind: 0 };
const TWO_NAMES: NamesInData = { before: 0, names: 2, behind: 0 };

/** The types of RFC 1035 with names in their data, and the later ones that "receivers SHOULD decompress" (RFC 3597 §4). */
export const COMPRESSIBLE: ReadonlyMap<number, NamesInData> = new Map([
  ...[Type.NS, 3, 4, Type.CNAME, 7, 8, 9, Type.PTR].map((type) => [type, ONE_NAME] as const),
  ...[14, 17].map((type) => [type, TWO_NAMES] as const),
  // MNAME and RNAME, then five numbers (RFC 1035 §3.3.13).
  [Type.SOA, { before: 0, names: 2, behind: 20 }],
  ...[Type.MX, 18, 21].map((type) => [type, { before: 2, names: 1, behind: 0 }] as const),
  [26, { before: 2, names: 2, behind: 0 }],
  [Type.SRV, { before: 6, names: 1, behind: 0 }],
]);

/** Types whose names are never compressed (RFC 3597 §4), with the number of bytes before the name. */
const PLAIN: ReadonlyMap<number, number> = new Map([
  [24, 18], // SIG
  [36, 2], // KX
  [39, 0], // DNAME
  [Type.RRSIG, 18],
  [Type.NSEC, 0],
  [Type.SVCB, 2],
  [Type.HTTPS, 2],
]);
const NAPTR = 35;

/** Offset of the name in the data of such a type; undefined for other types. */
function plainNameAt(bytes: Uint8Array, type: number, data: number, end: number): number | undefined {
  if (type !== NAPTR) {
    const before = PLAIN.get(type);
    return before === undefined ? undefined : data + before;
  }
  // ORDER, PREFERENCE and three character strings (RFC 3403 §4.1).
  let at = data + 4;
  for (let i = 0; i < 3 && at < end; i++) at += bytes[at]! + 1;
  return at;
}
