/** What is found where there is nothing. */
export const NOTHING = -1;

/** Words of a slot: the hash's two, and the value. */
const SLOT = 3;
/** By the upper bits of the hash. */
const SHARD_BITS = 8;
const LEAST_SLOTS = 16;

/**
 * Numbers by the 64-bit hash of a name: `SuffixHashes` has them. Two million names take 48 MiB of typed arrays, which
 * give the garbage collector nothing to do.
 *
 * Open addressing in shards that grow one by one: none of them takes long to, so a large table can be filled beside the
 * traffic, and never is there a second copy of all of it.
 */
export class SuffixHashTable {
  /** How many names. */
  size = 0;
  readonly #shards = Array.from({ length: 1 << SHARD_BITS }, () => new Shard());

  /** The value of this name, or `NOTHING`. */
  find(low: number, high: number): number {
    return this.#shards[high >>> 32 - SHARD_BITS]!.find(low, high);
  }

  /** Sets the value, not negative, of this name; returns the one that it had, or `NOTHING`. */
  put(low: number, high: number, value: number): number {
    const before = this.#shards[high >>> 32 - SHARD_BITS]!.put(low, high, value);
    if (before === NOTHING) this.size++;
    return before;
  }

  /** Octets in use. */
  get bytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.bytes, 0);
  }
}

class Shard {
  /** The value is stored with one added: a slot whose third word is zero is empty. */
  #slots = new Int32Array(LEAST_SLOTS * SLOT);
  #mask = LEAST_SLOTS - 1;
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
    if (before === NOTHING && ++this.#size > (this.#mask + 1) * 3 / 4) this.#grow();
    return before;
  }

  /** Where the name is, or would be. */
  #seek(low: number, high: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = low & mask;; slot = slot + 1 & mask) {
      const at = SLOT * slot;
      if (slots[at + 2] === 0 || slots[at] === low && slots[at + 1] === high) return at;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(2 * old.length);
    this.#mask = 2 * this.#mask + 1;
    for (let from = 0; from < old.length; from += SLOT) {
      if (old[from + 2] === 0) continue;
      const at = this.#seek(old[from]!, old[from + 1]!);
      for (let i = 0; i < SLOT; i++) this.#slots[at + i] = old[from + i]!;
    }
  }
}
