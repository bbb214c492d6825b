/** A reference to what is indexed: zero or a positive number of at most 30 bits. */
export type Ref = number;

/** What stands for "nothing found". */
export const NONE = -1;

const SLOT_BYTES = 8;
/** A slot's number is that of its part, with so many bits for its place there. */
const SLOT_BITS = 14;
/** Slots of a part, at last and at first. */
const PART_SLOTS = 1 << SLOT_BITS;
const LEAST_SLOTS = 1 << 5;

/**
 * Hashes and references in typed arrays: nothing for the garbage collector, whatever the number of entries. Open
 * addressing with linear probing, because the next slot is on the same line of the processor's cache.
 *
 * It is in parts, told by the lower bits of a hash, so that it grows little by little: a part doubles when three quarters
 * of it are in use, which moves no others. To double all at once took 70 ms for half a million, from all queries. Parts
 * of full size are as full as the whole, give or take some hundredths, so none of them overflows.
 */
export class HashIndex {
  /** Pairs of hash and reference + 1; a reference of zero there means an empty slot. */
  #parts: Int32Array[] = [];
  /** Entries of each part, and of all. */
  readonly #sizes: Uint16Array;
  #size = 0;
  readonly #partBits: number;

  /** @param maxBytes a power of two, from 128 KiB to 512 MiB */
  constructor(maxBytes: number) {
    this.#sizes = new Uint16Array(maxBytes / SLOT_BYTES / PART_SLOTS);
    this.#partBits = Math.log2(this.#sizes.length);
    this.clear();
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#parts.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Whether something must be removed before more can be added. */
  get isFull(): boolean {
    return this.#size >= this.#parts.length * PART_SLOTS * 3 / 4;
  }

  /** The slot where the search for a hash begins. */
  firstSlot(hash: number): number {
    const part = this.#partOf(hash);
    return part << SLOT_BITS | this.#homeIn(this.#parts[part]!, hash);
  }

  /** The slot behind. */
  after(slot: number): number {
    const part = slot >> SLOT_BITS;
    return part << SLOT_BITS | slot + 1 & maskOf(this.#parts[part]!);
  }

  /** The first slot with this hash, from `slot` on; NONE where there are no more. */
  seek(hash: number, slot: number): number {
    const part = slot >> SLOT_BITS;
    const slots = this.#parts[part]!;
    const mask = maskOf(slots);
    for (let at = slot & mask;; at = at + 1 & mask) {
      if (slots[2 * at + 1] === 0) return NONE;
      if (slots[2 * at] === hash) return part << SLOT_BITS | at;
    }
  }

  /** What the slot refers to. */
  ref(slot: number): Ref {
    const slots = this.#parts[slot >> SLOT_BITS]!;
    return slots[2 * (slot & maskOf(slots)) + 1]! - 1;
  }

  /** The slot with this hash that refers to `ref`, or NONE. */
  slotOf(hash: number, ref: Ref): number {
    let slot = this.seek(hash, this.firstSlot(hash));
    while (slot !== NONE && this.ref(slot) !== ref) slot = this.seek(hash, this.after(slot));
    return slot;
  }

  /** Makes a slot refer to something else with the same hash. */
  redirect(slot: number, ref: Ref): void {
    const slots = this.#parts[slot >> SLOT_BITS]!;
    slots[2 * (slot & maskOf(slots)) + 1] = ref + 1;
  }

  /** Not while it `isFull`. */
  add(hash: number, ref: Ref): void {
    const part = this.#partOf(hash);
    const slots = this.#parts[part]!;
    const isCrowded = this.#sizes[part]! >= slots.length * 3 / 8;
    if (isCrowded && slots.length < 2 * PART_SLOTS) this.#grow(part);
    this.#put(this.#parts[part]!, hash, ref + 1);
    this.#sizes[part]!++;
    this.#size++;
  }

  /** Closes the gap, so that what follows is found from its home without a mark for what is gone. */
  remove(slot: number): void {
    const part = slot >> SLOT_BITS;
    const slots = this.#parts[part]!;
    const mask = maskOf(slots);
    let hole = slot & mask;
    for (let at = hole + 1 & mask; slots[2 * at + 1] !== 0; at = at + 1 & mask) {
      const fromHome = at - this.#homeIn(slots, slots[2 * at]!) & mask;
      if (fromHome < (at - hole & mask)) continue;
      slots[2 * hole] = slots[2 * at]!;
      slots[2 * hole + 1] = slots[2 * at + 1]!;
      hole = at;
    }
    slots[2 * hole + 1] = 0;
    this.#sizes[part]!--;
    this.#size--;
  }

  clear(): void {
    this.#parts = Array.from(this.#sizes, () => new Int32Array(2 * LEAST_SLOTS));
    this.#sizes.fill(0);
    this.#size = 0;
  }

  #partOf(hash: number): number {
    return hash & this.#parts.length - 1;
  }

  #homeIn(slots: Int32Array, hash: number): number {
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
    let at = this.#homeIn(slots, hash);
    while (slots[2 * at + 1] !== 0) at = at + 1 & mask;
    slots[2 * at] = hash;
    slots[2 * at + 1] = reference;
  }
}

function maskOf(slots: Int32Array): number {
  return (slots.length >> 1) - 1;
}
