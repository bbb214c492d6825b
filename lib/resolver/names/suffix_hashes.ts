import { HEADER_BYTES } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { lowerCase } from "../../dns/name.ts";

/** A name has no more labels than this (RFC 1035 §3.1). */
const MAX_LABELS = 128;

/** New for each process, so that nobody can make up names whose hashes are the same. */
const [K0, K1] = crypto.getRandomValues(new Int32Array(2)) as unknown as [number, number];

/**
 * Hashes of a name and of all that it is below, its case aside: what tables of names are looked up by. Labels are taken
 * from the right, so that one pass over the name makes the hashes of all of its suffixes.
 *
 * 64 bits, so that of two million names and a billion questions none is taken for another (the chance is 1 in 10,000);
 * HalfSipHash-1-2, whose seed nobody can see through.
 */
export class SuffixHashes {
  /** How many labels the name has; none for the root. */
  count = 0;
  /** By number of labels less one: first the top-level domain, last the whole name. */
  readonly low = new Int32Array(MAX_LABELS);
  readonly high = new Int32Array(MAX_LABELS);
  /** Where the suffix begins, in the octets that were read. */
  readonly offsets = new Uint16Array(MAX_LABELS);
  readonly #labels = new Uint16Array(MAX_LABELS);

  /** Takes the plain name at `offset`, which has been skipped before. */
  read(bytes: Uint8Array, offset: number): this {
    let count = 0;
    let end = offset;
    for (; bytes[end] !== 0; end += bytes[end]! + 1) this.#labels[count++] = end;
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
      // The label's length is its first octet, and tells labels apart whose last word is filled up.
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

  /** Two rounds on a copy of the state, for the hash of what has been taken so far. */
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
let hashed: Message | undefined;

/** The hashes of a question's name; they hold until the next question. One pass is enough for all who ask in turn. */
export function questionSuffixes(message: Message): SuffixHashes {
  if (message !== hashed) {
    ofQuestion.read(message.bytes, HEADER_BYTES);
    hashed = message;
  }
  return ofQuestion;
}
