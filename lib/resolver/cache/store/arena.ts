/**
 * The memory of the store: a ring of blocks in one buffer, written at one end.
 *
 *     segments:  │ 0          │ 1          │ 2          │      All have one size. A block lies within one segment.
 *     blocks:    ▒▒▒▒▒▒·······▓▓▓▓▓▓▓▓▓▓▓▓·▓▓▓▓▓▓▓▓▓▓▓▓
 *                      ↑head  ↑tail
 *
 * `head` is where the next block goes, `tail` is the oldest block. A new block overwrites the oldest ones. Before that, the
 * owner may have one kept: the arena then copies it to the head.
 */

import { assert } from "../../../core/assert.ts";
import type { Ref } from "./index.ts";

/** Blocks begin at multiples of this. A reference counts these units, so 30 bits are enough for 4 GiB. */
export const UNIT_BYTES = 8;
const UNIT_SHIFT = 3;
const MAX_SEGMENT_BYTES = 1 << 20;
/** An entry made of the longest message fits. */
const MIN_SEGMENT_BYTES = 1 << 17;
/** One reservation keeps at most this many old blocks, so that it takes well below a millisecond. */
const MAX_KEPT = 256;
/** The bits of a block's first word that hold its length in units. */
const MAX_UNITS = 0xffff;

/** The owner of the blocks. */
export interface BlockOwner {
  /** Whether the oldest block is to be moved to the head instead of overwritten. */
  shouldKeep(ref: Ref): boolean;
  /** The block was copied from `from` to `to`. */
  moved(from: Ref, to: Ref): void;
  /** The block is about to be overwritten. Its entry may have been removed before. */
  evicted(ref: Ref): void;
}

/**
 * The ring: see the drawing above. The low 16 bits of a block's first word are its length in units. The other bits belong to
 * the owner, and are zero in a block that is new or was moved.
 */
export class Arena {
  readonly #owner: BlockOwner;
  readonly #segmentUnits: number;
  readonly #shift: number;
  readonly #maxSegments: number;
  /**
   * One buffer from the start; the system assigns pages only when they are written. A buffer that grows would make V8 collect
   * garbage, and each collection delays the queries of that moment by 15 ms.
   */
  #memory = new ArrayBuffer(0);
  #words: Int32Array[] = [];
  #bytes: Uint8Array[] = [];
  /** Per segment: where its blocks end, in units from the start of the buffer. Not valid for the segment being written. */
  #ends: number[] = [];
  /** Where the next block goes: in the segment being written, or just behind it once that is full. In units. */
  #head = 0;
  /** The segment being written. */
  #newest = 0;
  /** The oldest block. In units. */
  #tail = 0;
  #blocks = 0;

  constructor(maxBytes: number, owner: BlockOwner) {
    this.#owner = owner;
    const wanted = 2 ** Math.floor(Math.log2(maxBytes / 8));
    const segment = Math.min(MAX_SEGMENT_BYTES, Math.max(wanted, MIN_SEGMENT_BYTES));
    this.#segmentUnits = segment / UNIT_BYTES;
    this.#shift = Math.log2(this.#segmentUnits);
    this.#maxSegments = Math.max(2, Math.floor(maxBytes / segment));
    this.clear();
  }

  /** Bytes of the segments in use. The rest of the buffer was never written. */
  get bytes(): number {
    return this.#bytes.length * this.#segmentUnits * UNIT_BYTES;
  }

  get segments(): number {
    return this.#bytes.length;
  }

  /** The segment that is being written. */
  get newestSegment(): number {
    return this.#newest;
  }

  /** The words of the block's segment. The block begins at `wordOf`. */
  wordsOf(ref: Ref): Int32Array {
    return this.#words[ref >> this.#shift]!;
  }

  /** The bytes of the block's segment. The block begins at `byteOf`. */
  bytesOf(ref: Ref): Uint8Array {
    return this.#bytes[ref >> this.#shift]!;
  }

  wordOf(ref: Ref): number {
    return (ref & this.#segmentUnits - 1) << UNIT_SHIFT - 2;
  }

  byteOf(ref: Ref): number {
    return (ref & this.#segmentUnits - 1) << UNIT_SHIFT;
  }

  /** Length of a block in units. */
  unitsOf(ref: Ref): number {
    return this.wordsOf(ref)[this.wordOf(ref)]! & 0xffff;
  }

  /** Returns a new block, whose first word is its length. Overwrites the oldest blocks that the owner does not keep. */
  reserve(units: number): Ref {
    assert(units > 0 && units <= MAX_UNITS && units <= this.#segmentUnits, "a block that fits a segment");
    for (let kept = 0; this.#gapEnd - this.#head < units;) {
      if (this.#gapEnd === this.#segmentEnd) this.#startNextSegment();
      else if (this.#retire(kept < MAX_KEPT)) kept++;
    }
    return this.#take(units);
  }

  /** Gives up the oldest block, and does not ask whether to keep it. Precondition: there is a block. */
  retire(): void {
    this.#retire(false);
  }

  /** Gives up all blocks and the memory of the buffer. */
  clear(): void {
    this.#words = [];
    this.#bytes = [];
    this.#memory = new ArrayBuffer(0); // frees the old buffer first: there may be no room for two
    this.#memory = new ArrayBuffer(this.#maxSegments * this.#segmentUnits * UNIT_BYTES);
    this.#ends = [];
    this.#head =
      this.#newest =
      this.#tail =
      this.#blocks =
        0;
    this.#addSegment();
  }

  /** Visits the blocks of a segment in order, also those of removed entries. The visitor must not reserve blocks. */
  visit(segment: number, visitor: (ref: Ref) => void): void {
    const start = segment << this.#shift;
    if (segment !== this.#newest) {
      const tailIsHere = this.#tail >> this.#shift === segment;
      return this.#visitFrom(tailIsHere ? this.#tail : start, this.#ends[segment]!, visitor);
    }
    this.#visitFrom(start, this.#head, visitor);
    if (this.#isBehindHead) this.#visitFrom(this.#tail, this.#ends[segment]!, visitor);
  }

  #visitFrom(from: number, end: number, visitor: (ref: Ref) => void): void {
    for (let ref = from; ref < end;) {
      const next = ref + this.unitsOf(ref);
      visitor(ref);
      ref = next;
    }
  }

  get #segmentEnd(): number {
    return this.#newest + 1 << this.#shift;
  }

  /** Whether the oldest block lies in the segment being written, ahead of the head. */
  get #isBehindHead(): boolean {
    return this.#blocks > 0 && this.#tail >= this.#head && this.#tail < this.#segmentEnd;
  }

  /** Where the free units at the head end. */
  get #gapEnd(): number {
    return this.#isBehindHead ? this.#tail : this.#segmentEnd;
  }

  #take(units: number): Ref {
    const ref = this.#head;
    if (this.#blocks === 0) this.#tail = ref;
    this.#head += units;
    this.#blocks++;
    this.wordsOf(ref)[this.wordOf(ref)] = units;
    return ref;
  }

  /**
   * Removes the oldest block from the ring. Returns whether it was kept, which means moved to the head. The units of the old
   * block are free by then, so there is always room for it.
   */
  #retire(mayKeep: boolean): boolean {
    assert(this.#blocks > 0, "a block to retire");
    const ref = this.#tail;
    const units = this.unitsOf(ref);
    const segment = ref >> this.#shift;
    this.#blocks--;
    this.#tail += units;
    if (this.#tail === this.#ends[segment]) this.#tail = (segment + 1) % this.segments << this.#shift;
    if (!mayKeep || !this.#owner.shouldKeep(ref)) {
      this.#owner.evicted(ref);
      return false;
    }
    const from = this.byteOf(ref);
    this.bytesOf(ref).copyWithin(this.byteOf(this.#head), from, from + units * UNIT_BYTES);
    this.#owner.moved(ref, this.#take(units));
    return true;
  }

  #startNextSegment(): void {
    this.#ends[this.#newest] = this.#head;
    const isLast = this.#newest === this.segments - 1;
    if (isLast && this.segments < this.#maxSegments) this.#addSegment();
    this.#newest = (this.#newest + 1) % this.segments;
    this.#head = this.#newest << this.#shift;
  }

  #addSegment(): void {
    const bytes = this.#segmentUnits * UNIT_BYTES;
    const start = this.segments * bytes;
    this.#words.push(new Int32Array(this.#memory, start, bytes / 4));
    this.#bytes.push(new Uint8Array(this.#memory, start, bytes));
    this.#ends.push(0);
  }
}
