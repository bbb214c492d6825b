/** A reference to what is indexed: zero or a positive number of at most 30 bits. */
export type Ref = number;

/** What stands for "nothing found". */
export const NONE = -1;

const SLOT_BYTES = 8;
const LEAST_SLOTS = 1 << 12;

/**
 * Hashes and references in one typed array: nothing for the garbage collector, whatever the number of entries. Open
 * addressing with linear probing, because the next slot is on the same line of the processor's cache.
 *
 * It doubles when three quarters of it are in use. That moves all entries at once, which takes 10 to 20 ms for half a
 * million, but happens only once for each doubling in the life of a process.
 */
export class HashIndex {
  /** Pairs of hash and reference + 1; a reference of zero there means an empty slot. */
  #slots = new Int32Array(2 * LEAST_SLOTS);
  #mask = LEAST_SLOTS - 1;
  #size = 0;
  readonly #maxSlots: number;

  /** @param maxBytes a power of two */
  constructor(maxBytes: number) {
    this.#maxSlots = Math.max(maxBytes / SLOT_BYTES, LEAST_SLOTS);
  }

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Whether something must be removed before more can be added. */
  get isFull(): boolean {
    return this.#isCrowded && this.#mask + 1 >= this.#maxSlots;
  }

  /** The slot where the search for a hash begins. */
  home(hash: number): number {
    return hash & this.#mask;
  }

  /** The slot behind. */
  after(slot: number): number {
    return slot + 1 & this.#mask;
  }

  /** The first slot with this hash, from `slot` on; NONE where there are no more. */
  seek(hash: number, slot: number): number {
    const slots = this.#slots;
    for (let at = slot;; at = at + 1 & this.#mask) {
      if (slots[2 * at + 1] === 0) return NONE;
      if (slots[2 * at] === hash) return at;
    }
  }

  /** What the slot refers to. */
  ref(slot: number): Ref {
    return this.#slots[2 * slot + 1]! - 1;
  }

  /** The slot with this hash that refers to `ref`, or NONE. */
  slotOf(hash: number, ref: Ref): number {
    let slot = this.seek(hash, this.home(hash));
    while (slot !== NONE && this.ref(slot) !== ref) slot = this.seek(hash, this.after(slot));
    return slot;
  }

  /** Makes a slot refer to something else with the same hash. */
  point(slot: number, ref: Ref): void {
    this.#slots[2 * slot + 1] = ref + 1;
  }

  /** Not while it `isFull`. */
  add(hash: number, ref: Ref): void {
    if (this.#isCrowded) this.#grow();
    this.#put(hash, ref + 1);
    this.#size++;
  }

  /** Closes the gap, so that what follows is found from its home without a mark for what is gone. */
  remove(slot: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = slot;
    for (let at = slot + 1 & mask; slots[2 * at + 1] !== 0; at = at + 1 & mask) {
      const fromHome = at - slots[2 * at]! & mask;
      if (fromHome < (at - hole & mask)) continue;
      slots[2 * hole] = slots[2 * at]!;
      slots[2 * hole + 1] = slots[2 * at + 1]!;
      hole = at;
    }
    slots[2 * hole + 1] = 0;
    this.#size--;
  }

  clear(): void {
    this.#slots = new Int32Array(2 * LEAST_SLOTS);
    this.#mask = LEAST_SLOTS - 1;
    this.#size = 0;
  }

  get #isCrowded(): boolean {
    return this.#size >= (this.#mask + 1) * 3 / 4;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) this.#put(old[at]!, old[at + 1]!);
    }
  }

  #put(hash: number, reference: number): void {
    const slots = this.#slots;
    let at = hash & this.#mask;
    while (slots[2 * at + 1] !== 0) at = at + 1 & this.#mask;
    slots[2 * at] = hash;
    slots[2 * at + 1] = reference;
  }
}
