import { HEADER_BYTES } from "../../../dns/header.ts";
import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { boundedExtendedErrors } from "../../../dns/edns.ts";
import type { Message } from "../../../dns/message.ts";
import { lowerCase } from "../../../dns/name.ts";
import { writeTtl } from "../../../dns/records.ts";
import type { Cacheability } from "../cacheability.ts";
import { Arena, type BlockOwner, UNIT } from "./arena.ts";
import {
  BOTH,
  Entries,
  ENTRY_HEADER,
  entryLength,
  EntryWord,
  isSound,
  MAX_GENERATION,
  NXDOMAIN_CUT,
  packLengths,
  ROTATES,
  TAG_MASK,
  TAG_SHIFT,
} from "./entry.ts";
import { HashIndex, NONE, type Ref } from "./index.ts";
import { DO, hash } from "../../question_key.ts";

/** The store's unit of time: 31 bits of them are more than six years. */
export const TICKS_PER_SECOND = 10;

/** What an entry answers, beside the name. */
export interface EntryKey {
  /** QTYPE above QCLASS; a QTYPE of zero for an entry that denies the name. */
  readonly typeAndClass: number;
  readonly tag: number;
}

/**
 * Answers in wire format, within an exact number of octets, index included, and without an object per entry: a million
 * of them give the garbage collector nothing to do.
 *
 * What leaves first: the entry written first, unless it was asked for since; then it is written anew (CLOCK, "second
 * chance"). Better than LRU here: a hit sets one bit in a line of memory that is being read anyway, where LRU writes to
 * the neighbours in a list; a flood of names asked for once passes through without pushing out what is in use, for only
 * that has the bit; and writing at one end of a ring leaves no holes of the wrong size.
 *
 * Looking up and copying out allocate nothing, so that a reply can be composed straight into a buffer.
 */
export class Store {
  /** Entries that had to make room. */
  evictions = 0;
  /** Lasts until something changes in what may pass as it is: see `Entries.epoch`. Never zero. */
  generation = 1;
  readonly entries: Entries;
  readonly #arena: Arena;
  readonly #index: HashIndex;
  readonly #maxUnits: number;

  /** @param maxBytes the bound; from 1 MiB to 4 GiB */
  constructor(maxBytes: number) {
    // A tenth to a fifth, which is enough for entries of 100 octets or less; few are as small as that.
    const forIndex = 2 ** Math.ceil(Math.log2(maxBytes / 10));
    this.#index = new HashIndex(forIndex);
    this.#arena = new Arena(maxBytes - forIndex, this.#owner());
    this.entries = new Entries(this.#arena);
    this.#maxUnits = this.#arena.bytes / UNIT;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#index.size;
  }

  /** Octets in use, all told. */
  get bytes(): number {
    return this.#arena.bytes + this.#index.bytes;
  }

  /** The entry about a plain name of a message, whatever its case, and a type, class and tag; or NONE. */
  find(bytes: Uint8Array, name: number, nameEnd: number, typeAndClass: number, tag: number): Ref {
    // With DO and without it have one hash, because one entry may be for both.
    const hashed = hash(bytes, name, nameEnd, typeAndClass, tag & ~DO);
    return this.#find(hashed, bytes, name, nameEnd, typeAndClass, tag);
  }

  #find(
    wanted: number,
    bytes: Uint8Array,
    name: number,
    nameEnd: number,
    typeAndClass: number,
    tag: number,
  ): Ref {
    const index = this.#index;
    let slot = index.seek(wanted, index.firstSlot(wanted));
    while (slot !== NONE) {
      const ref = index.ref(slot);
      if (this.entries.isAbout(ref, bytes, name, nameEnd, typeAndClass, tag)) return ref;
      slot = index.seek(wanted, index.after(slot));
    }
    return NONE;
  }

  /** Keeps a response as it was appraised, in place of what was there for its key. */
  put(response: Message, { typeAndClass, tag }: EntryKey, appraisal: Cacheability, now: number): void {
    const { bytes, questionEnd, recordsEnd } = response;
    const nameEnd = questionEnd - 4;
    const { count } = appraisal;
    const errors = boundedExtendedErrors(response.edns);
    const lengths = packLengths(nameEnd - HEADER_BYTES, recordsEnd - questionEnd, errors.length);
    const length = entryLength(count, lengths);
    const hashed = hash(bytes, HEADER_BYTES, nameEnd, typeAndClass, tag & ~DO);
    const known = this.#find(hashed, bytes, HEADER_BYTES, nameEnd, typeAndClass, tag);
    const ref = this.#place(Math.ceil(length / UNIT), hashed, known);
    if (ref === NONE) return;

    const lifetime = appraisal.lifetime * TICKS_PER_SECOND;
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    words[word + EntryWord.HASH] = hashed;
    words[word + EntryWord.STORED_AT] = now;
    words[word + EntryWord.EXPIRES_AT] = now + lifetime;
    words[word + EntryWord.REFRESH_AT] = now + lifetime - Math.ceil(lifetime / 10);
    const bits = (appraisal.isNxdomainCut ? NXDOMAIN_CUT : 0) | (appraisal.rotates ? ROTATES : 0) |
      (appraisal.isForBoth ? BOTH : 0);
    words[word + EntryWord.FLAGS] = bits | tag << TAG_SHIFT | response.flags;
    words[word + EntryWord.TYPE_AND_CLASS] = typeAndClass;
    words[word + EntryWord.COUNTS] = readUint16(bytes, 6) << 16 | readUint16(bytes, 8);
    words[word + EntryWord.MORE_COUNTS] = response.additionalKept << 16 | count;
    words[word + EntryWord.LENGTHS] = lengths;
    const into = this.#arena.bytesOf(ref);
    const end = this.#write(response, appraisal, into, this.#arena.byteOf(ref) + ENTRY_HEADER);
    into.set(errors, end);
  }

  /** Forgets an entry. */
  remove(ref: Ref): void {
    this.#index.remove(this.#index.slotOf(this.entries.hash(ref), ref));
  }

  /** From now on no entry has been seen to pass as it is. */
  nextGeneration(): void {
    if (this.generation === MAX_GENERATION) {
      // Once in 127 times, that old numbers can come back.
      for (let i = 0; i < this.segments; i++) this.visit(i, (ref) => this.entries.setGeneration(ref, 0));
      this.generation = 0;
    }
    this.generation++;
  }

  clear(): void {
    this.#index.clear();
    this.#arena.clear();
  }

  /** The segments that `visit` can be called for. */
  get segments(): number {
    return this.#arena.segments;
  }

  /**
   * Visits all entries, those that are moved meanwhile too, a segment at a time with a turn of the event loop in between:
   * from the oldest to the newest, the way in which they move.
   */
  async visitAll(visitor: (ref: Ref) => void): Promise<void> {
    let segment = this.#arena.newestSegment;
    do {
      segment = (segment + 1) % this.segments;
      this.visit(segment, visitor);
      await new Promise((resolve) => setTimeout(resolve, 0));
    } while (segment !== this.#arena.newestSegment);
  }

  /** Visits the entries of one segment; nothing may be put meanwhile. */
  visit(segment: number, visitor: (ref: Ref) => void): void {
    this.#arena.visit(segment, (ref) => {
      if (this.#isAlive(ref)) visitor(ref);
    });
  }

  /**
   * Puts back octets of `Entries.octets`, unless something newer is there. Its times are moved by `shift` ticks, and it
   * expires at `latest` at the latest. Returns whether the octets add up.
   */
  restore(octets: Uint8Array, shift: number, latest = Infinity): boolean {
    if (octets.length < ENTRY_HEADER) return false;
    const header = new Int32Array(octets.slice(0, ENTRY_HEADER).buffer);
    if (!isSound(header, octets)) return false;
    const typeAndClass = header[EntryWord.TYPE_AND_CLASS]!;
    const tag = header[EntryWord.FLAGS]! >> TAG_SHIFT & TAG_MASK;
    const name = ENTRY_HEADER + 2 * (header[EntryWord.MORE_COUNTS]! & 0xffff);
    const nameEnd = name + (header[EntryWord.LENGTHS]! >>> 16 & 0xff);
    const hashed = hash(octets, name, nameEnd, typeAndClass, tag & ~DO);
    if (this.#find(hashed, octets, name, nameEnd, typeAndClass, tag) !== NONE) return true;
    const ref = this.#place(Math.ceil(octets.length / UNIT), hashed, NONE);
    if (ref === NONE) return true;

    this.#arena.bytesOf(ref).set(octets.subarray(4), this.#arena.byteOf(ref) + 4);
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    words[word + EntryWord.HASH] = hashed;
    this.entries.setGeneration(ref, 0);
    for (const time of [EntryWord.STORED_AT, EntryWord.EXPIRES_AT, EntryWord.REFRESH_AT]) {
      words[word + time] = Math.min(words[word + time]! + shift, latest);
    }
    return true;
  }

  /** Room for an entry, known to the index; the place of the one `known` for its key, where that is as long. */
  #place(units: number, hashed: number, known: Ref): Ref {
    if (known !== NONE && this.#arena.unitsOf(known) === units) return known;
    // What does not fit must not leave something older behind, either.
    if (known !== NONE) this.remove(known);
    if (units > this.#maxUnits) return NONE;
    while (this.#index.isFull) this.#arena.retire();
    const ref = this.#arena.reserve(units);
    this.#index.add(hashed, ref);
    return ref;
  }

  #write(response: Message, appraisal: Cacheability, into: Uint8Array, start: number): number {
    const { bytes, questionEnd, recordsEnd } = response;
    const { count, offsets, ttls } = appraisal;
    let at = start;
    for (let i = 0; i < count; i++, at += 2) writeUint16(into, at, offsets[i]!);
    for (let i = HEADER_BYTES; i < questionEnd - 4; i++) into[at++] = lowerCase(bytes[i]!);
    into.set(bytes.subarray(questionEnd, recordsEnd), at);
    for (let i = 0; i < count; i++) writeTtl(into, at + offsets[i]!, ttls[i]!);
    return at + recordsEnd - questionEnd;
  }

  #isAlive(ref: Ref): boolean {
    return this.#index.slotOf(this.entries.hash(ref), ref) !== NONE;
  }

  #owner(): BlockOwner {
    return {
      shouldKeep: (ref) => this.entries.isUsed(ref) && this.#isAlive(ref),
      moved: (from, to) => this.#index.redirect(this.#index.slotOf(this.entries.hash(to), from), to),
      evicted: (ref) => {
        if (!this.#isAlive(ref)) return;
        this.remove(ref);
        this.evictions++;
      },
    };
  }
}
