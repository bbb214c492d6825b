import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { lowerCase } from "../../../dns/name.ts";
import { Type } from "../../../dns/codes.ts";
import { readTtl, writeTtl } from "../../../dns/records.ts";
import type { Arena } from "./arena.ts";
import type { Ref } from "./index.ts";
import { DO } from "../../question_key.ts";

/**
 * How an entry of the store is laid out: ten words of header, then two octets for each TTL that say where it stands, the
 * name in lower case, the records as they stand behind the question, without OPT (RFC 6891 §6.1.1: "MUST NOT be cached"),
 * and the extended errors that came with them, as options.
 */

/** Words of the header. */
export const EntryWord = {
  /** The arena's, but for the bit `USED` and the turn above it, which are cleared when the entry is moved. */
  SIZE: 0,
  HASH: 1,
  /** When it came, when its lifetime ends, and when it is time to ask again, in ticks. */
  STORED_AT: 2,
  EXPIRES_AT: 3,
  REFRESH_AT: 4,
  /** Low 16 bits: the response's flags with its RCODE. Above them: the tag, `BOTH`, `ROTATES`, `CUT`, and the epoch. */
  FLAGS: 5,
  /** QTYPE above QCLASS; a QTYPE of zero where the entry denies the name. */
  TYPE_AND_CLASS: 6,
  /** Records in the answer section above those in the authority section. */
  COUNTS: 7,
  /** Records in the additional section above records in all. */
  MORE_COUNTS: 8,
  /** Octets of the extended errors, eight bits, and of the name, eight bits, above octets of the records. */
  LENGTHS: 9,
} as const;

/** Octets of the header. */
export const ENTRY_HEADER = 40;

/** Was asked for since it was written. */
const USED = 1 << 16;
/** Above it in the same word: how often the addresses have taken turns. */
const TURN = 1 << 17;
const TURN_SHIFT = 17;

export const TAG_SHIFT = 16;
export const TAG_MASK = 0x3f;
/** Was fetched with DO and has no signatures: it answers queries without DO as well. */
export const BOTH = 1 << 22;
/** Has a set of addresses, one behind the other, that take turns in being the first. */
export const ROTATES = 1 << 23;
/** Denies all names below. */
export const NXDOMAIN_CUT = 1 << 24;

/**
 * The upper bits of `FLAGS`: in which epoch of the store it was seen that all resolvers before the cache let the entry
 * pass as it is; zero for none.
 */
const GENERATION_SHIFT = 25;
export const MAX_GENERATION = 127;

/** Octets of an entry. */
export function entryLength(records: number, lengths: number): number {
  return ENTRY_HEADER + 2 * records + (lengths >>> 24) + (lengths >>> 16 & 0xff) + (lengths & 0xffff);
}

/** `Word.LENGTHS` of an entry. */
export function packLengths(name: number, records: number, extendedErrors: number): number {
  return extendedErrors << 24 | name << 16 | records;
}

/** Whether the words and what follows them add up, as they may not where they come from a file. */
export function isSound(words: Int32Array, bytes: Uint8Array): boolean {
  const lengths = words[EntryWord.LENGTHS]!;
  const more = words[EntryWord.MORE_COUNTS]!;
  const [nameLength, recordsLength, records] = [lengths >>> 16 & 0xff, lengths & 0xffff, more & 0xffff];
  if (nameLength === 0 || entryLength(records, lengths) > bytes.length) return false;
  for (let i = 0; i < records; i++) {
    const at = ENTRY_HEADER + 2 * i;
    if ((bytes[at]! << 8 | bytes[at + 1]!) + 4 > recordsLength) return false;
  }
  return true;
}

/** A longer copy is left to the platform; to set one up costs more than to copy this many octets one by one. */
const LONG = 256;
/** From a record's TTL back to its TYPE, and on to its data (RFC 1035 §3.2.1). In octets. */
const BEFORE_TTL = 4;
const BEHIND_TTL = 6;

/** What the store's entries say, read in place and without an object for any of them. */
export class Entries {
  /** Whether addresses take turns. */
  rotate = true;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** In ticks, as all times here. */
  storedAt(ref: Ref): number {
    return this.#word(ref, EntryWord.STORED_AT);
  }

  expiresAt(ref: Ref): number {
    return this.#word(ref, EntryWord.EXPIRES_AT);
  }

  /** When it is time to ask the upstream again. */
  refreshAt(ref: Ref): number {
    return this.#word(ref, EntryWord.REFRESH_AT);
  }

  refreshLater(ref: Ref, at: number): void {
    this.#arena.wordsOf(ref)[this.#arena.wordOf(ref) + EntryWord.REFRESH_AT] = at;
  }

  /** Notes that somebody wanted it. */
  use(ref: Ref): void {
    this.#arena.wordsOf(ref)[this.#arena.wordOf(ref)]! |= USED;
  }

  isUsed(ref: Ref): boolean {
    return (this.#word(ref, EntryWord.SIZE) & USED) !== 0;
  }

  hash(ref: Ref): number {
    return this.#word(ref, EntryWord.HASH);
  }

  /** The second word of the response's header. */
  flags(ref: Ref): number {
    return this.#word(ref, EntryWord.FLAGS) & 0xffff;
  }

  /** Whether it denies all names below. */
  isCut(ref: Ref): boolean {
    return (this.#word(ref, EntryWord.FLAGS) & NXDOMAIN_CUT) !== 0;
  }

  /** In which epoch it was last seen to pass; zero for none. */
  generation(ref: Ref): number {
    return this.#word(ref, EntryWord.FLAGS) >>> GENERATION_SHIFT;
  }

  setGeneration(ref: Ref, epoch: number): void {
    const at = this.#arena.wordOf(ref) + EntryWord.FLAGS;
    const words = this.#arena.wordsOf(ref);
    words[at] = words[at]! & (1 << GENERATION_SHIFT) - 1 | epoch << GENERATION_SHIFT;
  }

  /** How many records it has. */
  records(ref: Ref): number {
    return this.#word(ref, EntryWord.MORE_COUNTS) & 0xffff;
  }

  /** Octets of its records. */
  recordsLength(ref: Ref): number {
    return this.#word(ref, EntryWord.LENGTHS) & 0xffff;
  }

  /** Octets of its extended errors; 0 for none. */
  extendedErrorsLength(ref: Ref): number {
    return this.#word(ref, EntryWord.LENGTHS) >>> 24;
  }

  /** Writes the extended errors, options as they stand in an OPT record, and returns the offset behind them. */
  copyExtendedErrors(ref: Ref, into: Uint8Array, at: number): number {
    const own = this.#arena.bytesOf(ref);
    const from = this.nameEnd(ref) + this.recordsLength(ref);
    const length = this.extendedErrorsLength(ref);
    for (let i = 0; i < length; i++) into[at + i] = own[from + i]!;
    return at + length;
  }

  /** Whether it is about this plain name, whose case does not matter, and this type, class and tag. */
  isAbout(
    ref: Ref,
    bytes: Uint8Array,
    name: number,
    nameEnd: number,
    typeAndClass: number,
    tag: number,
  ): boolean {
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    const length = nameEnd - name;
    if (words[word + EntryWord.TYPE_AND_CLASS] !== typeAndClass) return false;
    if ((words[word + EntryWord.LENGTHS]! >>> 16 & 0xff) !== length) return false;
    const flags = words[word + EntryWord.FLAGS]!;
    const differing = (flags >> TAG_SHIFT ^ tag) & TAG_MASK;
    if (differing !== 0 && (differing !== DO || (flags & BOTH) === 0)) return false;
    const own = this.#arena.bytesOf(ref);
    const ownName = this.nameAt(ref);
    for (let i = 0; i < length; i++) {
      if (own[ownName + i] !== lowerCase(bytes[name + i]!)) return false;
    }
    return true;
  }

  /** The buffer that its octets are in. */
  bytesOf(ref: Ref): Uint8Array {
    return this.#arena.bytesOf(ref);
  }

  /** Offset of its name there. */
  nameAt(ref: Ref): number {
    return this.#arena.byteOf(ref) + ENTRY_HEADER + 2 * this.records(ref);
  }

  nameEnd(ref: Ref): number {
    return this.nameAt(ref) + (this.#word(ref, EntryWord.LENGTHS) >>> 16 & 0xff);
  }

  /** All of it as it stands. */
  bytesAt(ref: Ref): Uint8Array {
    const lengths = this.#word(ref, EntryWord.LENGTHS);
    const at = this.#arena.byteOf(ref);
    const length = entryLength(this.records(ref), lengths);
    return this.#arena.bytesOf(ref).subarray(at, at + length);
  }

  /** Writes the flags and the counts of records into the header that begins at `at`. */
  copyHeader(ref: Ref, into: Uint8Array, at: number): void {
    writeUint16(into, at + 2, this.flags(ref));
    const counts = this.#word(ref, EntryWord.COUNTS);
    writeUint16(into, at + 6, counts >>> 16);
    writeUint16(into, at + 8, counts & 0xffff);
    writeUint16(into, at + 10, this.#word(ref, EntryWord.MORE_COUNTS) >>> 16);
  }

  /** How many of the first records take more than `length` bytes together; all where they do not. */
  recordsBeyond(ref: Ref, length: number): number {
    const all = this.records(ref);
    let count = 1;
    while (count < all && this.lengthOf(ref, count) <= length) count++;
    return Math.min(count, all);
  }

  /** Bytes of the first `count` records, of which there is one at least. */
  lengthOf(ref: Ref, count: number): number {
    const own = this.#arena.bytesOf(ref);
    const ttl = readUint16(own, this.#arena.byteOf(ref) + ENTRY_HEADER + 2 * (count - 1));
    return ttl + 6 + readUint16(own, this.nameEnd(ref) + ttl + 4);
  }

  /**
   * Writes the records, `age` seconds taken off their TTLs, and returns the offset behind them; of a part of them where
   * their number and bytes are given.
   */
  copyRecords(
    ref: Ref,
    into: Uint8Array,
    at: number,
    age: number,
    records = this.records(ref),
    recordsLength = this.recordsLength(ref),
  ): number {
    const end = this.#copy(ref, into, at, records, recordsLength);
    const own = this.#arena.bytesOf(ref);
    let offset = this.#arena.byteOf(ref) + ENTRY_HEADER;
    for (let left = records; left > 0; left--, offset += 2) {
      const ttl = at + readUint16(own, offset);
      writeTtl(into, ttl, Math.max(readTtl(into, ttl) - age, 0));
    }
    return end;
  }

  /** As `copyRecords`, with the same TTL for all of them. */
  copyRecordsWithTtl(
    ref: Ref,
    into: Uint8Array,
    at: number,
    ttl: number,
    records = this.records(ref),
    recordsLength = this.recordsLength(ref),
  ): number {
    const end = this.#copy(ref, into, at, records, recordsLength);
    const own = this.#arena.bytesOf(ref);
    let offset = this.#arena.byteOf(ref) + ENTRY_HEADER;
    for (let left = records; left > 0; left--, offset += 2) {
      writeTtl(into, at + readUint16(own, offset), ttl);
    }
    return end;
  }

  #copy(ref: Ref, into: Uint8Array, at: number, records: number, length: number): number {
    const own = this.#arena.bytesOf(ref);
    const from = this.nameEnd(ref);
    if (length > LONG) into.set(own.subarray(from, from + length), at);
    else for (let i = 0; i < length; i++) into[at + i] = own[from + i]!;
    // What has one record, as most answers have, is not looked at.
    if (records > 1 && (this.#word(ref, EntryWord.FLAGS) & ROTATES) !== 0 && this.rotate) {
      this.#rotate(ref, into, at, records);
    }
    return at + length;
  }

  /** Gives the addresses of the copy at `at`, which has so many records, to the ones before: one place more each time. */
  #rotate(ref: Ref, into: Uint8Array, at: number, records: number): void {
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    const turn = words[word + EntryWord.SIZE]! >>> TURN_SHIFT;
    words[word + EntryWord.SIZE]! += TURN; // behind the last turn it begins anew
    const own = this.#arena.bytesOf(ref);
    const type = words[word + EntryWord.TYPE_AND_CLASS]! >>> 16;
    const answers = words[word + EntryWord.COUNTS]! >>> 16;
    const offsets = this.#arena.byteOf(ref) + ENTRY_HEADER;
    const ttls = this.nameEnd(ref);
    let first = 0;
    while (readUint16(own, ttls + readUint16(own, offsets + 2 * first) - BEFORE_TTL) !== type) first++;
    let end = first + 1;
    while (
      end < answers && readUint16(own, ttls + readUint16(own, offsets + 2 * end) - BEFORE_TTL) === type
    ) end++;
    const size = type === Type.A ? 4 : 16;
    let next = first + turn % (end - first);
    for (let i = first; i < end && i < records; i++) {
      const from = ttls + readUint16(own, offsets + 2 * next) + BEHIND_TTL;
      const to = at + readUint16(own, offsets + 2 * i) + BEHIND_TTL;
      for (let octet = 0; octet < size; octet++) into[to + octet] = own[from + octet]!;
      if (++next === end) next = first;
    }
  }

  #word(ref: Ref, word: number): number {
    return this.#arena.wordsOf(ref)[this.#arena.wordOf(ref) + word]!;
  }
}
