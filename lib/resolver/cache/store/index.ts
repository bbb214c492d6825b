/** The hash table of the store: from hashes to references of entries, in typed arrays. */

import { assert } from "../../../core/assert.ts";

/** A reference to an entry: a number from 0 to 2^30 - 1. */
export type Ref = number;

/** No entry, or no slot. */
export const NONE = -1;
/** The upper end of references. */
const MAX_REF = (1 << 30) - 1;

const SLOT_BYTES = 8;
/** The lower bits of a slot's number are its index in a part; the upper bits are the number of the part. */
const SLOT_BITS = 14;
/** Slots of a part when it is full grown, and at first. */
const PART_SLOTS = 1 << SLOT_BITS;
const MIN_SLOTS = 1 << 5;

/**
 * Open addressing with linear probing, because the next slot is in the same line of the processor's cache. The garbage
 * collector has nothing to do, whatever the number of entries.
 *
 * The lower bits of a hash select a part, so that the index grows in steps: a part doubles when three quarters of its slots
 * are in use, and the other parts stay. Doubling the whole took 70 ms for half a million entries. Full-grown parts are
 * filled evenly, within a few percent, so none overflows before the whole `isFull`.
 */
export class HashIndex {
  /** Per slot: hash, and reference + 1. Zero in the second word marks an empty slot. */
  #parts: Int32Array[] = [];
  /** Entries of each part. */
  readonly #sizes: Uint16Array;
  #size = 0;
  readonly #partBits: number;

  /** @param maxBytes a power of two, from 128 KiB to 512 MiB */
  constructor(maxBytes: number) {
    assert(maxBytes >= SLOT_BYTES * PART_SLOTS && Number.isInteger(Math.log2(maxBytes)), "a power of two");
    this.#sizes = new Uint16Array(maxBytes / SLOT_BYTES / PART_SLOTS);
    this.#partBits = Math.log2(this.#sizes.length);
    this.clear();
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Whether an entry must be removed before the next `add`. */
  get isFull(): boolean {
    return this.#size >= this.#parts.length * PART_SLOTS * 3 / 4;
  }

  /** The slot where the search for a hash begins. */
  firstSlot(hash: number): number {
    const part = this.#partOf(hash);
    return part << SLOT_BITS | this.#firstIn(this.#parts[part]!, hash);
  }

  /** The slot behind a slot, in the same part. */
  after(slot: number): number {
    const part = slot >> SLOT_BITS;
    return part << SLOT_BITS | slot + 1 & maskOf(this.#parts[part]!);
  }

  /** The first slot with this hash, from `slot` on. NONE if there is none. */
  seek(hash: number, slot: number): number {
    const part = slot >> SLOT_BITS;
    const slots = this.#parts[part]!;
    const mask = maskOf(slots);
    for (let at = slot & mask;; at = at + 1 & mask) {
      if (slots[2 * at + 1] === 0) return NONE;
      if (slots[2 * at] === hash) return part << SLOT_BITS | at;
    }
  }

  /** The reference in a slot. */
  ref(slot: number): Ref {
    const slots = this.#parts[slot >> SLOT_BITS]!;
    return slots[2 * (slot & maskOf(slots)) + 1]! - 1;
  }

  /** The slot with this hash and this reference, or NONE. */
  slotOf(hash: number, ref: Ref): number {
    let slot = this.seek(hash, this.firstSlot(hash));
    while (slot !== NONE && this.ref(slot) !== ref) slot = this.seek(hash, this.after(slot));
    return slot;
  }

  /** Replaces the reference in a slot by another with the same hash. */
  redirect(slot: number, ref: Ref): void {
    assert(slot >= 0, "a slot to redirect");
    const slots = this.#parts[slot >> SLOT_BITS]!;
    slots[2 * (slot & maskOf(slots)) + 1] = ref + 1;
  }

  /** Adds a reference. Precondition: `!isFull`. */
  add(hash: number, ref: Ref): void {
    assert(ref >= 0 && ref <= MAX_REF, "a reference of 30 bits");
    assert(!this.isFull, "an index with room");
    const part = this.#partOf(hash);
    const slots = this.#parts[part]!;
    const isCrowded = this.#sizes[part]! >= slots.length * 3 / 8;
    if (isCrowded && slots.length < 2 * PART_SLOTS) this.#grow(part);
    this.#put(this.#parts[part]!, hash, ref + 1);
    this.#sizes[part]!++;
    this.#size++;
  }

  /** Empties a slot. Moves later entries of the same run forward, so that no mark for removed entries is needed. */
  remove(slot: number): void {
    assert(slot >= 0, "a slot to remove");
    const part = slot >> SLOT_BITS;
    const slots = this.#parts[part]!;
    const mask = maskOf(slots);
    let hole = slot & mask;
    for (let at = hole + 1 & mask; slots[2 * at + 1] !== 0; at = at + 1 & mask) {
      const fromFirst = at - this.#firstIn(slots, slots[2 * at]!) & mask;
      if (fromFirst < (at - hole & mask)) continue;
      slots[2 * hole] = slots[2 * at]!;
      slots[2 * hole + 1] = slots[2 * at + 1]!;
      hole = at;
    }
    slots[2 * hole + 1] = 0;
    this.#sizes[part]!--;
    this.#size--;
  }

  /** Removes all references. */
  clear(): void {
    this.#parts = Array.from(this.#sizes, () => new Int32Array(2 * MIN_SLOTS));
    this.#sizes.fill(0);
    this.#size = 0;
  }

  #partOf(hash: number): number {
    return hash & this.#parts.length - 1;
  }

  /** The index in a part where the search for a hash begins. */
  #firstIn(slots: Int32Array, hash: number): number {
    return hash >>> this.#partBits & maskOf(slots);
  }

  #grow(part: number): void {
    const old = this.#parts[part]!;
    const slots = this.#parts[part] = new Int32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) this.#put(slots, old[at]!, old[at + 1]!);
    }
  }

  #put(slots: Int32Array, hash: number, reference: number): void {
    const mask = maskOf(slots);
    let at = this.#firstIn(slots, hash);
    while (slots[2 * at + 1] !== 0) at = at + 1 & mask;
    slots[2 * at] = hash;
    slots[2 * at + 1] = reference;
  }
}

function maskOf(slots: Int32Array): number {
  return (slots.length >> 1) - 1;
}
