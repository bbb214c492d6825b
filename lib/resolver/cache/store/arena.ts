import type { Ref } from "./index.ts";

/** Blocks begin at multiples of this, in octets; a reference counts them, so that 4 GiB are within its 30 bits. */
export const UNIT = 8;
const UNIT_SHIFT = 3;
/** In octets. */
const SEGMENT = 1 << 20;
/** Any message fits, with what is stored beside it. */
const LEAST_SEGMENT = 1 << 17;
/** How many blocks one reservation may spare: so that it takes well below a millisecond. */
const MAX_SPARED = 256;

/** Whose blocks they are. */
export interface BlockOwner {
  /** Whether the oldest block is worth being written anew in place of being overwritten. */
  shouldKeep(ref: Ref): boolean;
  moved(from: Ref, to: Ref): void;
  /** The block is about to be overwritten; it may have been given up long ago. */
  evicted(ref: Ref): void;
}

/**
 * A ring of octets, written from one end: new blocks overwrite the oldest, unless their tenant wants them spared, which
 * moves them to the new end. All of it lies in one buffer, within an exact bound.
 *
 * The low 16 bits of a block's first word are its length in units; the others are the tenant's, and zero in a block
 * that is new or has been moved.
 */
export class Arena {
  readonly #owner: BlockOwner;
  readonly #segmentUnits: number;
  readonly #shift: number;
  readonly #maxSegments: number;
  /**
   * All of it at once, though the system gives memory only where it is written to: a heap that grows is what makes V8
   * look for garbage, and each search takes 15 ms from the queries of that moment.
   */
  #memory = new ArrayBuffer(0);
  #words: Int32Array[] = [];
  #bytes: Uint8Array[] = [];
  /** By segment: where its blocks end, in units from the start of all; of no use for the one being written. */
  #ends: number[] = [];
  /** Where the next block goes, in the segment being written or, once that is full, just behind it. */
  #head = 0;
  #written = 0;
  /** The oldest block. */
  #tail = 0;
  #blocks = 0;

  constructor(maxBytes: number, tenant: BlockOwner) {
    this.#owner = tenant;
    const wanted = 2 ** Math.floor(Math.log2(maxBytes / 8));
    const segment = Math.min(SEGMENT, Math.max(wanted, LEAST_SEGMENT));
    this.#segmentUnits = segment / UNIT;
    this.#shift = Math.log2(this.#segmentUnits);
    this.#maxSegments = Math.max(2, Math.floor(maxBytes / segment));
    this.clear();
  }

  /** Octets of the segments in use: more has not been written to. */
  get bytes(): number {
    return this.#bytes.length * this.#segmentUnits * UNIT;
  }

  get segments(): number {
    return this.#bytes.length;
  }

  /** The one that is being written. */
  get newestSegment(): number {
    return this.#written;
  }

  /** The segment that a block is in, as words; it begins at `wordOf`. */
  wordsOf(ref: Ref): Int32Array {
    return this.#words[ref >> this.#shift]!;
  }

  /** The same segment, as octets; the block begins at `byteOf`. */
  bytesOf(ref: Ref): Uint8Array {
    return this.#bytes[ref >> this.#shift]!;
  }

  wordOf(ref: Ref): number {
    return (ref & this.#segmentUnits - 1) << UNIT_SHIFT - 2;
  }

  byteOf(ref: Ref): number {
    return (ref & this.#segmentUnits - 1) << UNIT_SHIFT;
  }

  unitsOf(ref: Ref): number {
    return this.wordsOf(ref)[this.wordOf(ref)]! & 0xffff;
  }

  /** A new block; its first word is set. */
  reserve(units: number): Ref {
    for (let spared = 0; this.#gapEnd - this.#head < units;) {
      if (this.#gapEnd === this.#segmentEnd) this.#nextSegment();
      else if (this.#retire(spared < MAX_SPARED)) spared++;
    }
    return this.#take(units);
  }

  /** Overwrites the oldest block; nothing is spared. Not while there is none. */
  retire(): void {
    this.#retire(false);
  }

  clear(): void {
    this.#words = [];
    this.#bytes = [];
    this.#memory = new ArrayBuffer(0); // first, for there may be no room for two
    this.#memory = new ArrayBuffer(this.#maxSegments * this.#segmentUnits * UNIT);
    this.#ends = [];
    this.#head =
      this.#written =
      this.#tail =
      this.#blocks =
        0;
    this.#addSegment();
  }

  /** Visits the blocks of a segment in order, those given up included. Nothing may be reserved meanwhile. */
  visit(segment: number, visitor: (ref: Ref) => void): void {
    const start = segment << this.#shift;
    if (segment !== this.#written) {
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
    return this.#written + 1 << this.#shift;
  }

  /** Whether the oldest block stands in the segment being written, where the head has yet to come. */
  get #isBehindHead(): boolean {
    return this.#blocks > 0 && this.#tail >= this.#head && this.#tail < this.#segmentEnd;
  }

  /** Up to where there is room at the head. */
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

  /** Takes the oldest block away; whether it was spared. Its own place is within the gap then, so there is room for it. */
  #retire(maySpare: boolean): boolean {
    const ref = this.#tail;
    const units = this.unitsOf(ref);
    const segment = ref >> this.#shift;
    this.#blocks--;
    this.#tail += units;
    if (this.#tail === this.#ends[segment]) this.#tail = (segment + 1) % this.segments << this.#shift;
    if (!maySpare || !this.#owner.shouldKeep(ref)) {
      this.#owner.evicted(ref);
      return false;
    }
    const from = this.byteOf(ref);
    this.bytesOf(ref).copyWithin(this.byteOf(this.#head), from, from + units * UNIT);
    this.#owner.moved(ref, this.#take(units));
    return true;
  }

  #nextSegment(): void {
    this.#ends[this.#written] = this.#head;
    const isLast = this.#written === this.segments - 1;
    if (isLast && this.segments < this.#maxSegments) this.#addSegment();
    this.#written = (this.#written + 1) % this.segments;
    this.#head = this.#written << this.#shift;
  }

  #addSegment(): void {
    const octets = this.#segmentUnits * UNIT;
    const start = this.segments * octets;
    this.#words.push(new Int32Array(this.#memory, start, octets / 4));
    this.#bytes.push(new Uint8Array(this.#memory, start, octets));
    this.#ends.push(0);
  }
}
