/**
 * The store of the cache: answers in wire format, without an object per entry, within an exact number of bytes.
 *
 *     hash ──▶ HashIndex ──ref──▶ Arena: a ring of blocks ──▶ Entries: one block as an entry
 *
 * The folder knows no clock, no upstream and no file: `snapshot.ts` makes bytes of a store, and the caller writes them.
 */

import { assert } from "../../../core/assert.ts";
import { HEADER_BYTES, HeaderField } from "../../../dns/header.ts";
import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { boundedExtendedErrors } from "../../../dns/edns.ts";
import type { Message } from "../../../dns/message.ts";
import { lowerCase } from "../../../dns/name.ts";
import { writeTtl } from "../../../dns/records.ts";
import type { Cacheability } from "../cacheability.ts";
import { Arena, type BlockOwner, UNIT_BYTES } from "./arena.ts";
import {
  BOTH,
  Entries,
  ENTRY_HEADER_BYTES,
  entryLength,
  EntryWord,
  isSound,
  MAX_GENERATION,
  NXDOMAIN_CUT,
  packLengths,
  packRotation,
  ROTATION_SHIFT,
  VARIANT_MASK,
  VARIANT_SHIFT,
} from "./entry.ts";
import { HashIndex, NONE, type Ref } from "./index.ts";
import { DO, hash } from "../../question_key.ts";

/** The store's unit of time. 31 bits of ticks are more than six years. */
export const TICKS_PER_SECOND = 10;

/** The key of an entry, except the name. */
export interface EntryKey {
  /** QTYPE in the upper 16 bits, zero for a denial of the name; QCLASS in the lower. */
  readonly typeAndClass: number;
  readonly variant: number;
}

/**
 * Answers by name, type, class and variant. A million entries give the garbage collector nothing to do. A look-up and a copy
 * out allocate nothing, so a reply can be composed straight into a buffer.
 *
 * Eviction is CLOCK ("second chance"): the oldest entry leaves, unless it was used since it was written. A used entry is
 * written again at the new end of the ring. CLOCK is better than LRU here for three reasons:
 * - A hit sets one bit in a cache line that it reads anyway. LRU would write to the neighbors in a list.
 * - A flood of names that are asked for once does not evict entries in use, because only those have the bit.
 * - Writing at one end of a ring leaves no holes of the wrong size.
 */
export class Store {
  /** Number of entries that were evicted. */
  evictions = 0;
  /** Number of the current policy, from 1 to `MAX_GENERATION`. See the header of `CacheFastPath`. */
  generation = 1;
  readonly entries: Entries;
  readonly #arena: Arena;
  readonly #index: HashIndex;
  readonly #maxUnits: number;

  /** @param maxBytes bound of the whole store, index included; from 1 MiB to 4 GiB */
  constructor(maxBytes: number) {
    assert(maxBytes >= 2 ** 20 && maxBytes <= 2 ** 32, "a store of 1 MiB to 4 GiB");
    // A tenth to a fifth of the bound. That is enough for entries of 100 bytes, and few are as small as that.
    const indexBytes = 2 ** Math.ceil(Math.log2(maxBytes / 10));
    this.#index = new HashIndex(indexBytes);
    this.#arena = new Arena(maxBytes - indexBytes, this.#owner());
    this.entries = new Entries(this.#arena);
    this.#maxUnits = this.#arena.bytes / UNIT_BYTES;
  }

  /** Number of entries. */
  get size(): number {
    return this.#index.size;
  }

  /** Bytes in use, index included. */
  get bytes(): number {
    return this.#arena.bytes + this.#index.bytes;
  }

  /** The entry for an uncompressed name in any case, and a type, class and variant. NONE if there is none. */
  find(bytes: Uint8Array, name: number, nameEnd: number, typeAndClass: number, variant: number): Ref {
    // The hash leaves DO out, because one entry may answer queries with and without it.
    const hashValue = hash(bytes, name, nameEnd, typeAndClass, variant & ~DO);
    return this.#find(hashValue, bytes, name, nameEnd, typeAndClass, variant);
  }

  #find(
    hashValue: number,
    bytes: Uint8Array,
    name: number,
    nameEnd: number,
    typeAndClass: number,
    variant: number,
  ): Ref {
    const index = this.#index;
    let slot = index.seek(hashValue, index.firstSlot(hashValue));
    while (slot !== NONE) {
      const ref = index.ref(slot);
      if (this.entries.answers(ref, bytes, name, nameEnd, typeAndClass, variant)) return ref;
      slot = index.seek(hashValue, index.after(slot));
    }
    return NONE;
  }

  /** Stores a response that `assessment` was made of. Replaces the entry with the same key. */
  put(
    response: Message,
    { typeAndClass, variant }: EntryKey,
    assessment: Cacheability,
    nowTicks: number,
  ): void {
    assert(assessment.lifetimeSeconds > 0, "a response that may be cached");
    const { bytes, questionEnd, recordsEnd } = response;
    const nameEnd = questionEnd - 4;
    const { count } = assessment;
    const errors = boundedExtendedErrors(response.edns);
    const lengths = packLengths(nameEnd - HEADER_BYTES, recordsEnd - questionEnd, errors.length);
    const length = entryLength(count, lengths);
    const hashValue = hash(bytes, HEADER_BYTES, nameEnd, typeAndClass, variant & ~DO);
    const known = this.#find(hashValue, bytes, HEADER_BYTES, nameEnd, typeAndClass, variant);
    const ref = this.#reserve(Math.ceil(length / UNIT_BYTES), hashValue, known);
    if (ref === NONE) return;

    const lifetimeTicks = assessment.lifetimeSeconds * TICKS_PER_SECOND;
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    words[word + EntryWord.HASH] = hashValue;
    words[word + EntryWord.STORED_AT] = nowTicks;
    words[word + EntryWord.EXPIRES_AT] = nowTicks + lifetimeTicks;
    words[word + EntryWord.REFRESH_AT] = nowTicks + lifetimeTicks - Math.ceil(lifetimeTicks / 10);
    const bits = (assessment.isNxdomainCut ? NXDOMAIN_CUT : 0) | (assessment.isForBoth ? BOTH : 0);
    words[word + EntryWord.FLAGS] = bits | variant << VARIANT_SHIFT | response.flags;
    words[word + EntryWord.TYPE_AND_CLASS] = typeAndClass;
    words[word + EntryWord.COUNTS] = readUint16(bytes, HeaderField.ANSWERS) << 16 |
      readUint16(bytes, HeaderField.AUTHORITY);
    const rotation = packRotation(assessment.firstRotating, assessment.rotating);
    words[word + EntryWord.RECORDS] = rotation << ROTATION_SHIFT | count;
    words[word + EntryWord.LENGTHS] = lengths;
    const into = this.#arena.bytesOf(ref);
    const end = this.#write(response, assessment, into, this.#arena.byteOf(ref) + ENTRY_HEADER_BYTES);
    into.set(errors, end);
  }

  /** Removes an entry. Precondition: it is in the index. */
  remove(ref: Ref): void {
    const slot = this.#index.slotOf(this.entries.hash(ref), ref);
    assert(slot !== NONE, "an entry in the index");
    this.#index.remove(slot);
  }

  /** Starts a generation, which closes all entries to the fast path. */
  nextGeneration(): void {
    if (this.generation === MAX_GENERATION) {
      // The numbers start again, so entries must not keep old ones.
      for (let i = 0; i < this.segments; i++) this.visit(i, (ref) => this.entries.setGeneration(ref, 0));
      this.generation = 0;
    }
    this.generation++;
  }

  /** Removes all entries, and gives their memory back. */
  clear(): void {
    this.#index.clear();
    this.#arena.clear();
  }

  /** Number of segments, for `visit`. */
  get segments(): number {
    return this.#arena.segments;
  }

  /**
   * Visits all entries, one segment per turn of the event loop. The order is from the oldest segment to the newest, the
   * direction in which entries move, so an entry that moves meanwhile is visited as well.
   */
  async visitAll(visitor: (ref: Ref) => void): Promise<void> {
    let segment = this.#arena.newestSegment;
    do {
      segment = (segment + 1) % this.segments;
      this.visit(segment, visitor);
      await new Promise((resolve) => setTimeout(resolve, 0));
    } while (segment !== this.#arena.newestSegment);
  }

  /** Visits the entries of one segment. The visitor may remove entries, but not put any. */
  visit(segment: number, visitor: (ref: Ref) => void): void {
    this.#arena.visit(segment, (ref) => {
      if (this.#isIndexed(ref)) visitor(ref);
    });
  }

  /**
   * Puts back an entry, as `Entries.bytesAt` returned it, unless its key has an entry. Adds `shiftTicks` to its times, none of
   * which becomes later than `latestTicks`. Returns false if the bytes are no sound entry.
   */
  restore(bytes: Uint8Array, shiftTicks: number, latestTicks = Infinity): boolean {
    if (bytes.length < ENTRY_HEADER_BYTES) return false;
    const header = new Int32Array(bytes.slice(0, ENTRY_HEADER_BYTES).buffer);
    if (!isSound(header, bytes)) return false;
    const typeAndClass = header[EntryWord.TYPE_AND_CLASS]!;
    const variant = header[EntryWord.FLAGS]! >> VARIANT_SHIFT & VARIANT_MASK;
    const name = ENTRY_HEADER_BYTES + 2 * (header[EntryWord.RECORDS]! & 0xffff);
    const nameEnd = name + (header[EntryWord.LENGTHS]! >>> 16 & 0xff);
    const hashValue = hash(bytes, name, nameEnd, typeAndClass, variant & ~DO);
    if (this.#find(hashValue, bytes, name, nameEnd, typeAndClass, variant) !== NONE) return true;
    const ref = this.#reserve(Math.ceil(bytes.length / UNIT_BYTES), hashValue, NONE);
    if (ref === NONE) return true;

    this.#arena.bytesOf(ref).set(bytes.subarray(4), this.#arena.byteOf(ref) + 4);
    const words = this.#arena.wordsOf(ref);
    const word = this.#arena.wordOf(ref);
    words[word + EntryWord.HASH] = hashValue;
    this.entries.setGeneration(ref, 0);
    for (const time of [EntryWord.STORED_AT, EntryWord.EXPIRES_AT, EntryWord.REFRESH_AT]) {
      words[word + time] = Math.min(words[word + time]! + shiftTicks, latestTicks);
    }
    return true;
  }

  /** Reserves a block and adds it to the index. Takes the block of `known`, the entry with the same key, if it is as long. */
  #reserve(units: number, hashValue: number, known: Ref): Ref {
    if (known !== NONE && this.#arena.unitsOf(known) === units) return known;
    // An entry that does not fit must not leave an older answer behind, either.
    if (known !== NONE) this.remove(known);
    if (units > this.#maxUnits) return NONE;
    while (this.#index.isFull) this.#arena.retire();
    const ref = this.#arena.reserve(units);
    this.#index.add(hashValue, ref);
    return ref;
  }

  #write(response: Message, assessment: Cacheability, into: Uint8Array, start: number): number {
    const { bytes, questionEnd, recordsEnd } = response;
    const { count, offsets, ttls } = assessment;
    let at = start;
    for (let i = 0; i < count; i++, at += 2) writeUint16(into, at, offsets[i]!);
    for (let i = HEADER_BYTES; i < questionEnd - 4; i++) into[at++] = lowerCase(bytes[i]!);
    into.set(bytes.subarray(questionEnd, recordsEnd), at);
    for (let i = 0; i < count; i++) writeTtl(into, at + offsets[i]!, ttls[i]!);
    return at + recordsEnd - questionEnd;
  }

  #isIndexed(ref: Ref): boolean {
    return this.#index.slotOf(this.entries.hash(ref), ref) !== NONE;
  }

  #owner(): BlockOwner {
    return {
      shouldKeep: (ref) => this.entries.isUsed(ref) && this.#isIndexed(ref),
      moved: (from, to) => this.#index.redirect(this.#index.slotOf(this.entries.hash(to), from), to),
      evicted: (ref) => {
        if (!this.#isIndexed(ref)) return;
        this.remove(ref);
        this.evictions++;
      },
    };
  }
}
