/** Hashes of names and of all their suffixes, by which tables of names are searched. */

import { assert } from "../../core/assert.ts";
import { HEADER_BYTES } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { lowerCase } from "../../dns/name.ts";

/** A name has fewer labels than this (RFC 1035 §3.1). */
const MAX_LABELS = 128;

/** The key. It is new for each process, so that an attacker cannot compute names with equal hashes. */
const [K0, K1] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number];

/**
 * Hashes of a name and its suffixes, ignoring case. One pass from the last label to the first makes all of them.
 *
 * With 64 bits, the chance that one of a billion questions collides with one of two million names is 1 in 10,000. The
 * function is HalfSipHash-1-2: hashes do not reveal its key.
 */
export class SuffixHashes {
  /** Number of labels of the name; 0 for the root. */
  count = 0;
  /** The hash of the suffix with `i + 1` labels is at index `i`: first the top-level domain, last the whole name. */
  readonly low = new Int32Array(MAX_LABELS);
  readonly high = new Int32Array(MAX_LABELS);
  /** Offset of each suffix in the bytes that were read. */
  readonly offsets = new Uint16Array(MAX_LABELS);
  readonly #labels = new Uint16Array(MAX_LABELS);

  /** Reads the name at `offset`. Precondition: it is uncompressed and well formed. */
  read(bytes: Uint8Array, offset: number): this {
    let count = 0;
    let end = offset;
    for (; bytes[end] !== 0; end += bytes[end]! + 1) this.#labels[count++] = end;
    assert(count < MAX_LABELS, "a name has at most 127 labels");
    this.count = count;
    this.#hash(bytes, end);
    return this;
  }

  #hash(bytes: Uint8Array, root: number): void {
    const { count, offsets } = this;
    let v0 = K0;
    let v1 = K1;
    let v2 = K0 ^ 0x6c796765;
    let v3 = K1 ^ 0x74656462;
    let end = root;
    for (let i = 0; i < count; i++) {
      const start = this.#labels[count - 1 - i]!;
      // The first byte of a label is its length. It distinguishes labels whose last word is padded.
      for (let at = start; at < end;) {
        let word = 0;
        for (let shift = 0; shift < 32 && at < end; shift += 8) word |= lowerCase(bytes[at++]!) << shift;
        v3 ^= word;
        v0 = v0 + v1 | 0;
        v1 = (v1 << 5 | v1 >>> 27) ^ v0;
        v0 = v0 << 16 | v0 >>> 16;
        v2 = v2 + v3 | 0;
        v3 = (v3 << 8 | v3 >>> 24) ^ v2;
        v0 = v0 + v3 | 0;
        v3 = (v3 << 7 | v3 >>> 25) ^ v0;
        v2 = v2 + v1 | 0;
        v1 = (v1 << 13 | v1 >>> 19) ^ v2;
        v2 = v2 << 16 | v2 >>> 16;
        v0 ^= word;
      }
      this.#finish(i, v0, v1, v2 ^ 0xee, v3);
      offsets[i] = start;
      end = start;
    }
  }

  /** Finishes the hash of the suffix with two rounds on a copy of the state. */
  #finish(index: number, a: number, b: number, c: number, d: number): void {
    let v0 = a;
    let v1 = b;
    let v2 = c;
    let v3 = d;
    for (let round = 0; round < 2; round++) {
      v0 = v0 + v1 | 0;
      v1 = (v1 << 5 | v1 >>> 27) ^ v0;
      v0 = v0 << 16 | v0 >>> 16;
      v2 = v2 + v3 | 0;
      v3 = (v3 << 8 | v3 >>> 24) ^ v2;
      v0 = v0 + v3 | 0;
      v3 = (v3 << 7 | v3 >>> 25) ^ v0;
      v2 = v2 + v1 | 0;
      v1 = (v1 << 13 | v1 >>> 19) ^ v2;
      v2 = v2 << 16 | v2 >>> 16;
    }
    this.low[index] = v1 ^ v3;
    this.high[index] = v0 ^ v2;
  }
}

const ofQuestion = new SuffixHashes();
/** The message whose question was hashed last. */
let hashed: Message | undefined;

/**
 * The hashes of the question's name, computed once for all resolvers that use them in turn. The object is reused: it is
 * valid until this function is called with another message.
 */
export function questionSuffixes(message: Message): SuffixHashes {
  if (message !== hashed) {
    ofQuestion.read(message.bytes, HEADER_BYTES);
    hashed = message;
  }
  return ofQuestion;
}
