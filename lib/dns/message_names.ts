import { HEADER_BYTES } from "./header.ts";
import { Type } from "./codes.ts";
import { FormatError } from "./format_error.ts";
import { byteAt, MAX_NAME_BYTES, MAX_POINTERS, nextLabel, POINTER, pointerTarget } from "./name.ts";

/** Offsets that a compression pointer can lead to (RFC 1035 §4.1.4). */
const REACH = 0x4000;

/**
 * The names of one message after the other, checked in the order in which they stand.
 *
 * Each offset at which a checked name can be entered is remembered with the length of the rest of that name. A pointer to
 * such an offset costs one look, however long the chain behind it, and no offset is walked twice. So the cost of a message
 * is bounded by its length, whatever its pointers do.
 */
export class MessageNames {
  /**
   * Whether each pointer led to a name of the message: that of the question, an owner, or a checked name in RDATA. A pointer
   * to anything else can read a name in a TTL or in an OPT record, which change on the way.
   */
  pointersLeadToNames = true;
  /** Offsets that were looked at since the module was loaded. Tests hold it against the length of a message. */
  steps = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  /** The message that an offset was last checked in, as a number; another number means "not in this message". */
  readonly #checkedIn = new Uint32Array(REACH);
  #message = 0;
  /** From an offset to the root: bytes without compression, and pointers. */
  readonly #lengths = new Uint8Array(REACH);
  readonly #pointers = new Uint8Array(REACH);
  /** The offsets of the labels and pointers of the name being checked. */
  readonly #path = new Uint16Array(MAX_NAME_BYTES + MAX_POINTERS + 1);
  #depth = 0;

  /** Begins a message. */
  begin(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#depth = 0;
    this.pointersLeadToNames = true;
    if (++this.#message <= 0xffff_ffff) return;
    this.#checkedIn.fill(0);
    this.#message = 1;
  }

  /**
   * Checks the name at `offset` and returns the offset just behind it. A pointer is malformed unless it leads to "a prior
   * occurrence" (RFC 1035 §4.1.4), as is a label of a type that RFC 6891 §5 leaves undefined. Throws `FormatError`.
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
      const octets = byteAt(bytes, at);
      this.#path[this.#depth++] = at;
      if (octets < POINTER) {
        length += octets + 1;
        if (length > MAX_NAME_BYTES) break;
        if (octets === 0) {
          behind ||= at + 1;
          break;
        }
        at = nextLabel(bytes, at, octets);
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
    if (length > MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 octets");
    if (pointers > MAX_POINTERS) throw new FormatError("a name has too many compression pointers");
    this.#remember(length, pointers);
    return behind;
  }

  /**
   * Checks the names in the data of a record. For the types that this program looks into, a name that is malformed or
   * ends elsewhere than the data makes the message malformed: throws `FormatError`. In the data of other types a name is only
   * looked for, because names behind it may point there; a malformed one counts as a pointer to no name.
   */
  checkData(type: number, data: number, end: number): void {
    const fields = COMPRESSIBLE.get(type);
    if (!fields) return this.#lookForNames(type, data, end);
    let at = data + fields.before;
    for (let i = 0; i < fields.names; i++) at = at < end ? this.check(at) : Infinity;
    if (at + fields.behind !== end) {
      throw new FormatError("a name in a record's data does not end with the data");
    }
  }

  #lookForNames(type: number, data: number, end: number): void {
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

  /** Notes how long the rest is from each offset of the path. */
  #remember(length: number, pointers: number): void {
    for (let i = 0; i < this.#depth; i++) {
      const at = this.#path[i]!;
      const octets = this.#bytes[at]!;
      if (at < REACH) {
        this.#checkedIn[at] = this.#message;
        this.#lengths[at] = length;
        this.#pointers[at] = pointers;
      }
      if (octets >= POINTER) pointers--;
      else length -= octets + 1;
    }
  }
}

/** Where names stand in the data of a type: bytes before them, how many names, bytes behind them. */
export interface NamesInData {
  readonly before: number;
  readonly names: number;
  readonly behind: number;
}

const ONE_NAME: NamesInData = { before: 0, names: 1, behind: 0 };
const TWO_NAMES: NamesInData = { before: 0, names: 2, behind: 0 };

/** The types of RFC 1035 that have names in their data; of the later ones those "receivers SHOULD decompress" (RFC 3597 §4). */
export const COMPRESSIBLE: ReadonlyMap<number, NamesInData> = new Map([
  ...[Type.NS, 3, 4, Type.CNAME, 7, 8, 9, Type.PTR].map((type) => [type, ONE_NAME] as const),
  ...[14, 17].map((type) => [type, TWO_NAMES] as const),
  // MNAME and RNAME, then five numbers (RFC 1035 §3.3.13).
  [Type.SOA, { before: 0, names: 2, behind: 20 }],
  ...[Type.MX, 18, 21].map((type) => [type, { before: 2, names: 1, behind: 0 }] as const),
  [26, { before: 2, names: 2, behind: 0 }],
  [Type.SRV, { before: 6, names: 1, behind: 0 }],
]);

/** Bytes before the name in the data of types whose names are never compressed (RFC 3597 §4), by type. */
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

/** Offset of the name in such data; undefined where the type has none. */
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
