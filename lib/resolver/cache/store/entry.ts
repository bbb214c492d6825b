/**
 * One entry of the store: how its bytes are laid out, and `Entries`, which reads and writes them in place, without an object
 * per entry. An entry is one block of the arena.
 *
 *     word  0   SIZE            turn: 15 bits │ USED: 1 bit │ length in units: 16 bits
 *           1   HASH            of name, type, class and variant
 *           2   STORED_AT       ticks
 *           3   EXPIRES_AT      ticks
 *           4   REFRESH_AT      ticks: when to ask the upstream again
 *           5   FLAGS           generation: 7 │ NXDOMAIN_CUT: 1 │ unused: 1 │ BOTH: 1 │ variant: 6 │ flags of the response: 16
 *           6   TYPE_AND_CLASS  QTYPE: 16, zero in a denial of the name │ QCLASS: 16
 *           7   COUNTS          records of the answer section: 16 │ of the authority section: 16
 *           8   RECORDS         rotation: 16 (first address: 8 │ number of addresses: 8) │ records in all: 16
 *           9   LENGTHS         bytes of the extended errors: 8 │ of the name: 8 │ of the records: 16
 *     byte 40   offset of each record's TTL, from the start of the records, 2 bytes each
 *           …   name, in lower case
 *           …   records as they follow the question, without OPT (RFC 6891 §6.1.1: "MUST NOT be cached")
 *           …   extended errors, as options
 *
 * The turn counts how often the addresses were rotated. Turn and `USED` are zero again when the arena moves the block.
 */

import { assert } from "../../../core/assert.ts";
import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { Type } from "../../../dns/codes.ts";
import { HeaderField } from "../../../dns/header.ts";
import { lowerCase } from "../../../dns/name.ts";
import { readTtl, writeTtl } from "../../../dns/records.ts";
import { DO } from "../../question_key.ts";
import type { Arena } from "./arena.ts";
import type { Ref } from "./index.ts";

/** Words of the header: see the drawing above. */
export const EntryWord = {
  SIZE: 0,
  HASH: 1,
  STORED_AT: 2,
  EXPIRES_AT: 3,
  REFRESH_AT: 4,
  FLAGS: 5,
  TYPE_AND_CLASS: 6,
  COUNTS: 7,
  RECORDS: 8,
  LENGTHS: 9,
} as const;

/** Length of the header in bytes. */
export const ENTRY_HEADER_BYTES = 40;

/** In `SIZE`: the entry was used since it was written. */
const USED = 1 << 16;
/** In `SIZE`: one turn. */
const TURN = 1 << 17;
const TURN_SHIFT = 17;

/** In `FLAGS`: the variant. */
export const VARIANT_SHIFT = 16;
export const VARIANT_MASK = 0x3f;
/** In `FLAGS`: the answer to a query with DO that has no signatures, so that it answers queries without DO as well. */
export const BOTH = 1 << 22;
/** In `FLAGS`: the entry denies its name and all names below it (RFC 8020). */
export const NXDOMAIN_CUT = 1 << 24;
/** In `FLAGS`: the generation, zero for none. See the header of `CacheFastPath`. */
const GENERATION_SHIFT = 25;
export const MAX_GENERATION = 127;

/** In `RECORDS`: the rotation. */
export const ROTATION_SHIFT = 16;

/** A rotation: `count` addresses, one behind the other, from the record with the index `first` on. Each is 255 at most. */
export function packRotation(first: number, count: number): number {
  return first << 8 | count;
}

/** Length of an entry in bytes. */
export function entryLength(records: number, lengths: number): number {
  return ENTRY_HEADER_BYTES + 2 * records + (lengths >>> 24) + (lengths >>> 16 & 0xff) + (lengths & 0xffff);
}

/** The word `LENGTHS`. */
export function packLengths(name: number, records: number, extendedErrors: number): number {
  return extendedErrors << 24 | name << 16 | records;
}

/** Whether header and body of an entry agree. Those of a file may not. */
export function isSound(words: Int32Array, bytes: Uint8Array): boolean {
  const lengths = words[EntryWord.LENGTHS]!;
  const counts = words[EntryWord.COUNTS]!;
  const records = words[EntryWord.RECORDS]! & 0xffff;
  const rotation = words[EntryWord.RECORDS]! >>> ROTATION_SHIFT;
  const [nameLength, recordsLength] = [lengths >>> 16 & 0xff, lengths & 0xffff];
  if (nameLength === 0 || entryLength(records, lengths) !== bytes.length) return false;
  if ((counts >>> 16) + (counts & 0xffff) > records) return false;
  if ((rotation >>> 8) + (rotation & 0xff) > counts >>> 16) return false;
  for (let i = 0; i < records; i++) {
    if (readUint16(bytes, ENTRY_HEADER_BYTES + 2 * i) + 4 > recordsLength) return false;
  }
  return true;
}

/** From this length in bytes on, `set` is faster than a loop. */
const LONG_COPY_BYTES = 256;
/** Bytes from a record's TTL back to its TYPE, on to its RDLENGTH, and on to its data (RFC 1035 §3.2.1). */
const TTL_TO_RDLENGTH = 4;
const TTL_TO_DATA = 6;

/**
 * Reads and writes the entries of a store in place. Precondition of all methods: `ref` refers to an entry that is in the
 * index. No method checks that, but `setGeneration` and `refreshLater` check their values.
 */
export class Entries {
  /** Whether the addresses of an answer rotate from one reply to the next. */
  rotate = true;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** When the entry was stored, in ticks. */
  storedAt(ref: Ref): number {
    return this.#word(ref, EntryWord.STORED_AT);
  }

  /** When the entry stops being fresh, in ticks. */
  expiresAt(ref: Ref): number {
    return this.#word(ref, EntryWord.EXPIRES_AT);
  }

  /** When the upstream should be asked again, in ticks. */
  refreshAt(ref: Ref): number {
    return this.#word(ref, EntryWord.REFRESH_AT);
  }

  /** Postpones the next refresh to `atTicks`. */
  refreshLater(ref: Ref, atTicks: number): void {
    assert(ref >= 0, "an entry to refresh later");
    this.#arena.wordsOf(ref)[this.#arena.wordOf(ref) + EntryWord.REFRESH_AT] = atTicks;
  }

  /** Marks the entry as used, so that the arena keeps it once more. */
  use(ref: Ref): void {
    this.#arena.wordsOf(ref)[this.#arena.wordOf(ref)]! |= USED;
  }

  isUsed(ref: Ref): boolean {
    return (this.#word(ref, EntryWord.SIZE) & USED) !== 0;
  }

  hash(ref: Ref): number {
    return this.#word(ref, EntryWord.HASH);
  }

  /** The flags of the response's header, with the RCODE. */
  flags(ref: Ref): number {
    return this.#word(ref, EntryWord.FLAGS) & 0xffff;
  }

  /** Whether the entry denies its name and all names below it. */
  isNxdomainCut(ref: Ref): boolean {
    return (this.#word(ref, EntryWord.FLAGS) & NXDOMAIN_CUT) !== 0;
  }

  /** The generation in which the entry was last opened to the fast path; zero for none. */
  generation(ref: Ref): number {
    return this.#word(ref, EntryWord.FLAGS) >>> GENERATION_SHIFT;
  }

  setGeneration(ref: Ref, generation: number): void {
    assert(generation <= MAX_GENERATION, "a generation of seven bits");
    const at = this.#arena.wordOf(ref) + EntryWord.FLAGS;
    const words = this.#arena.wordsOf(ref);
    words[at] = words[at]! & (1 << GENERATION_SHIFT) - 1 | generation << GENERATION_SHIFT;
  }

  /** Number of records. */
  records(ref: Ref): number {
    return this.#word(ref, EntryWord.RECORDS) & 0xffff;
  }

  /** Length of the records in bytes. */
  recordsLength(ref: Ref): number {
    return this.#word(ref, EntryWord.LENGTHS) & 0xffff;
  }

  /** Length of the extended errors in bytes; 0 for none. */
  extendedErrorsLength(ref: Ref): number {
    return this.#word(ref, EntryWord.LENGTHS) >>> 24;
  }

  /** Writes the extended errors, as options of an OPT record, and returns the offset behind them. */
  copyExtendedErrors(ref: Ref, into: Uint8Array, at: number): number {
    const own = this.#arena.bytesOf(ref);
    const from = this.nameEnd(ref) + this.recordsLength(ref);
    const length = this.extendedErrorsLength(ref);
    for (let i = 0; i < length; i++) into[at + i] = own[from + i]!;
    return at + length;
  }

  /** Whether the entry answers this uncompressed name, in any case, with this type, class and variant. */
  answers(
    ref: Ref,
    bytes: Uint8Array,
    name: number,
    nameEnd: number,
    typeAndClass: number,
    variant: number,
  ): boolean {
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    const length = nameEnd - name;
    if (words[word + EntryWord.TYPE_AND_CLASS] !== typeAndClass) return false;
    if ((words[word + EntryWord.LENGTHS]! >>> 16 & 0xff) !== length) return false;
    const flags = words[word + EntryWord.FLAGS]!;
    const differing = (flags >> VARIANT_SHIFT ^ variant) & VARIANT_MASK;
    if (differing !== 0 && (differing !== DO || (flags & BOTH) === 0)) return false;
    const own = this.#arena.bytesOf(ref);
    const ownName = this.nameAt(ref);
    for (let i = 0; i < length; i++) {
      if (own[ownName + i] !== lowerCase(bytes[name + i]!)) return false;
    }
    return true;
  }

  /** The bytes of the entry's segment. */
  bytesOf(ref: Ref): Uint8Array {
    return this.#arena.bytesOf(ref);
  }

  /** Offset of the name in `bytesOf`. */
  nameAt(ref: Ref): number {
    return this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES + 2 * this.records(ref);
  }

  /** Offset behind the name in `bytesOf`, which is also the offset of the records. */
  nameEnd(ref: Ref): number {
    return this.nameAt(ref) + (this.#word(ref, EntryWord.LENGTHS) >>> 16 & 0xff);
  }

  /** The whole entry: a view that is valid until the next `put`. */
  bytesAt(ref: Ref): Uint8Array {
    const lengths = this.#word(ref, EntryWord.LENGTHS);
    const at = this.#arena.byteOf(ref);
    const length = entryLength(this.records(ref), lengths);
    return this.#arena.bytesOf(ref).subarray(at, at + length);
  }

  /** Writes the flags and the counts of records into the message header at `at`. */
  copyHeader(ref: Ref, into: Uint8Array, at: number): void {
    writeUint16(into, at + HeaderField.FLAGS, this.flags(ref));
    const counts = this.#word(ref, EntryWord.COUNTS);
    const answers = counts >>> 16;
    const authority = counts & 0xffff;
    writeUint16(into, at + HeaderField.ANSWERS, answers);
    writeUint16(into, at + HeaderField.AUTHORITY, authority);
    writeUint16(into, at + HeaderField.ADDITIONAL, this.records(ref) - answers - authority);
  }

  /** The least number of first records that take more than `length` bytes; all records if they take no more. */
  recordsBeyond(ref: Ref, length: number): number {
    const all = this.records(ref);
    let count = 1;
    while (count < all && this.lengthOf(ref, count) <= length) count++;
    return Math.min(count, all);
  }

  /** Length of the first `count` records in bytes. */
  lengthOf(ref: Ref, count: number): number {
    assert(count > 0, "at least one record");
    const own = this.#arena.bytesOf(ref);
    const ttl = readUint16(own, this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES + 2 * (count - 1));
    return ttl + TTL_TO_DATA + readUint16(own, this.nameEnd(ref) + ttl + TTL_TO_RDLENGTH);
  }

  /**
   * Writes the records with their TTLs reduced by `ageSeconds`, and returns the offset behind them. Writes only the first
   * ones if their number and length are given.
   */
  copyRecords(
    ref: Ref,
    into: Uint8Array,
    at: number,
    ageSeconds: number,
    records = this.records(ref),
    recordsLength = this.recordsLength(ref),
  ): number {
    const end = this.#copy(ref, into, at, records, recordsLength);
    const own = this.#arena.bytesOf(ref);
    let offset = this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES;
    for (let left = records; left > 0; left--, offset += 2) {
      const ttl = at + readUint16(own, offset);
      writeTtl(into, ttl, Math.max(readTtl(into, ttl) - ageSeconds, 0));
    }
    return end;
  }

  /** As `copyRecords`, but all records get the same TTL. */
  copyRecordsWithTtl(
    ref: Ref,
    into: Uint8Array,
    at: number,
    ttlSeconds: number,
    records = this.records(ref),
    recordsLength = this.recordsLength(ref),
  ): number {
    const end = this.#copy(ref, into, at, records, recordsLength);
    const own = this.#arena.bytesOf(ref);
    let offset = this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES;
    for (let left = records; left > 0; left--, offset += 2) {
      writeTtl(into, at + readUint16(own, offset), ttlSeconds);
    }
    return end;
  }

  #copy(ref: Ref, into: Uint8Array, at: number, records: number, length: number): number {
    const own = this.#arena.bytesOf(ref);
    const from = this.nameEnd(ref);
    if (length > LONG_COPY_BYTES) into.set(own.subarray(from, from + length), at);
    else for (let i = 0; i < length; i++) into[at + i] = own[from + i]!;
    const rotation = this.#word(ref, EntryWord.RECORDS) >>> ROTATION_SHIFT;
    if (rotation !== 0 && this.rotate) this.#rotate(ref, into, at, records, rotation);
    return at + length;
  }

  /** Rotates the addresses in a copy of the first `records` records at `at`, one position further at each call. */
  #rotate(ref: Ref, into: Uint8Array, at: number, records: number, rotation: number): void {
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    const turn = words[word + EntryWord.SIZE]! >>> TURN_SHIFT;
    words[word + EntryWord.SIZE]! += TURN; // wraps around within its 15 bits
    const first = rotation >>> 8;
    const count = rotation & 0xff;
    let from = turn % count;
    if (from === 0) return;
    const own = this.#arena.bytesOf(ref);
    const size = words[word + EntryWord.TYPE_AND_CLASS]! >>> 16 === Type.A ? 4 : 16;
    const offsets = this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES + 2 * first;
    const recordsAt = this.nameEnd(ref);
    const copied = Math.min(count, records - first);
    for (let i = 0; i < copied; i++) {
      const source = recordsAt + readUint16(own, offsets + 2 * from) + TTL_TO_DATA;
      const target = at + readUint16(own, offsets + 2 * i) + TTL_TO_DATA;
      for (let byte = 0; byte < size; byte++) into[target + byte] = own[source + byte]!;
      if (++from === count) from = 0;
    }
  }

  #word(ref: Ref, word: number): number {
    return this.#arena.wordsOf(ref)[this.#arena.wordOf(ref) + word]!;
  }
}
