/** A hash table from names to small numbers, for lists with millions of names. */

import { assert } from "../../core/assert.ts";

/** Result of a search for a name that is not in the table. */
export const NOT_FOUND = -1;

/** Size of a slot in 32-bit words: two of the hash, and the value. */
const SLOT_WORDS = 3;
/** Number of upper bits of the hash that select the shard. */
const SHARD_BITS = 8;
const INITIAL_SLOTS = 16;

/**
 * Numbers by the 64-bit hash of a name (`SuffixHashes`). Two million names take 48 MiB of typed arrays, which the garbage
 * collector does not scan.
 *
 * Open addressing in shards that grow independently. Each growth is short, so a large table can be filled while queries
 * are answered, and only one shard at a time exists twice.
 */
export class SuffixHashTable {
  /** Number of names. */
  size = 0;
  readonly #shards = Array.from({ length: 1 << SHARD_BITS }, () => new Shard());

  /** The value of the name with this hash, or `NOT_FOUND`. */
  find(low: number, high: number): number {
    return this.#shards[high >>> 32 - SHARD_BITS]!.find(low, high);
  }

  /** Sets the value of the name with this hash. Returns the previous value, or `NOT_FOUND`. Precondition: `value >= 0`. */
  put(low: number, high: number, value: number): number {
    assert(value >= 0, "the value of a name is not negative");
    const before = this.#shards[high >>> 32 - SHARD_BITS]!.put(low, high, value);
    if (before === NOT_FOUND) this.size++;
    return before;
  }

  /** Memory in use. */
  get bytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.bytes, 0);
  }
}

class Shard {
  /** The third word of a slot is the value plus one; 0 marks an empty slot. */
  #slots = new Int32Array(INITIAL_SLOTS * SLOT_WORDS);
  #mask = INITIAL_SLOTS - 1;
  #size = 0;

  get bytes(): number {
    return this.#slots.byteLength;
  }

  find(low: number, high: number): number {
    return this.#slots[this.#seek(low, high) + 2]! - 1;
  }

  put(low: number, high: number, value: number): number {
    const at = this.#seek(low, high);
    const before = this.#slots[at + 2]! - 1;
    this.#slots[at] = low;
    this.#slots[at + 1] = high;
    this.#slots[at + 2] = value + 1;
    if (before === NOT_FOUND && ++this.#size > (this.#mask + 1) * 3 / 4) this.#grow();
    return before;
  }

  /** Offset of the slot that has the name, or of the empty slot for it. At least a quarter of the slots are empty. */
  #seek(low: number, high: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = low & mask;; slot = slot + 1 & mask) {
      const at = SLOT_WORDS * slot;
      if (slots[at + 2] === 0 || slots[at] === low && slots[at + 1] === high) return at;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let from = 0; from < old.length; from += SLOT_WORDS) {
      if (old[from + 2] === 0) continue;
      const at = this.#seek(old[from]!, old[from + 1]!);
      for (let i = 0; i < SLOT_WORDS; i++) this.#slots[at + i] = old[from + i]!;
    }
  }
}
