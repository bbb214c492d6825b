/** Splits streams into messages (RFC 1035 §4.2.2). */

import { readUint16 } from "./bytes.ts";

/** Size of the length before each message on a stream. */
export const LENGTH_PREFIX_BYTES = 2;

/**
 * Splits a stream that the caller reads into this reader's buffer.
 *
 *     space() ─▶ read into it ─▶ advance(n) ─▶ take() until it returns undefined ─▶ space() …
 *
 * Messages are views of the buffer. Bytes of messages are never overwritten: a new buffer replaces a full one.
 */
export class FrameReader {
  #buffer: Uint8Array;
  readonly #size: number;
  #start = 0;
  #end = 0;

  /** @param size bytes per buffer; a longer message gets a larger buffer */
  constructor(size: number) {
    this.#size = size;
    this.#buffer = new Uint8Array(size);
  }

  /** The free part of the buffer, never empty. Precondition: `take` has returned undefined. */
  space(): Uint8Array {
    const waiting = this.#end - this.#start;
    const room = this.#buffer.length - this.#end;
    // A buffer that grew for a large message is replaced after that message.
    if (waiting === 0 && this.#buffer.length > this.#size) this.#renew(0);
    else if (room === 0 || Math.max(room, waiting) < this.#size >> 2) this.#renew(waiting);
    return this.#buffer.subarray(this.#end);
  }

  /** Grows the buffer with the received bytes, not with the announced length, which costs a peer only two bytes. */
  #renew(waiting: number): void {
    const announced = waiting < LENGTH_PREFIX_BYTES
      ? LENGTH_PREFIX_BYTES
      : LENGTH_PREFIX_BYTES + readUint16(this.#buffer, this.#start);
    const buffer = new Uint8Array(Math.max(this.#size, Math.min(announced, 2 * waiting)));
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = buffer;
    this.#start = 0;
    this.#end = waiting;
  }

  /** Adds `count` bytes, which the caller has written to `space()`. */
  advance(count: number): void {
    this.#end += count;
  }

  /** Removes and returns the next complete message; undefined if there is none yet. */
  take(): Uint8Array | undefined {
    if (this.#end - this.#start < LENGTH_PREFIX_BYTES) return undefined;
    const start = this.#start + LENGTH_PREFIX_BYTES;
    const end = start + readUint16(this.#buffer, this.#start);
    if (end > this.#end) return undefined;
    this.#start = end;
    return this.#buffer.subarray(start, end);
  }
}

const EMPTY = new Uint8Array(0);

/**
 * Splits a stream that arrives in pieces. Messages are views of a piece if they are complete in it, else of a buffer that
 * is not written again. The caller must not write to a piece after `push`.
 */
export class FrameSplitter {
  /** The beginning of an incomplete message in the first `#length` bytes; the rest is free. */
  #held = EMPTY;
  #length = 0;

  /** Adds a piece, and calls `take` for each message that is complete with it. */
  push(piece: Uint8Array, take: (message: Uint8Array) => void): void {
    const bytes = this.#length === 0 ? piece : this.#append(piece);
    let at = 0;
    while (bytes.length - at >= LENGTH_PREFIX_BYTES) {
      const start = at + LENGTH_PREFIX_BYTES;
      const end = start + readUint16(bytes, at);
      if (end > bytes.length) break;
      at = end;
      take(bytes.subarray(start, end));
    }
    this.#hold(bytes, at);
  }

  /** The held bytes followed by the piece. */
  #append(piece: Uint8Array): Uint8Array {
    const length = this.#length + piece.length;
    if (length > this.#held.length) {
      // Grows with the received bytes, as `FrameReader`.
      const larger = new Uint8Array(2 * length);
      larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(piece, this.#length);
    return this.#held.subarray(0, length);
  }

  /** Keeps the bytes from `at` on, in a new buffer if the current one contains bytes of messages. */
  #hold(bytes: Uint8Array, at: number): void {
    const isHeld = at === 0 && bytes.buffer === this.#held.buffer;
    if (!isHeld) this.#held = at === bytes.length ? EMPTY : bytes.slice(at);
    this.#length = bytes.length - at;
  }
}
