import { readUint16 } from "./bytes.ts";

/** The two octets of length before each message on a stream (RFC 1035 §4.2.2). */
export const LENGTH_PREFIX_BYTES = 2;

/**
 * Takes a stream apart into messages. The caller reads into `space()`, says how much with `advance`, then takes what is
 * complete. Messages are views: the octets under them are never written again, a full buffer is replaced by a new one.
 */
export class FrameReader {
  #buffer: Uint8Array;
  readonly #size: number;
  #start = 0;
  #end = 0;

  /** @param size octets per buffer; a longer message gets a larger buffer of its own */
  constructor(size: number) {
    this.#size = size;
    this.#buffer = new Uint8Array(size);
  }

  /** Room for what comes next, never empty. All complete messages have been taken. */
  space(): Uint8Array {
    const waiting = this.#end - this.#start;
    const room = this.#buffer.length - this.#end;
    // A buffer that a large message has made large is given up with the message.
    if (waiting === 0 && this.#buffer.length > this.#size) this.#renew(0);
    else if (room === 0 || Math.max(room, waiting) < this.#size >> 2) this.#renew(waiting);
    return this.#buffer.subarray(this.#end);
  }

  /** A new buffer grows with what has come, not with what the prefix announces: that costs a peer two octets. */
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

  advance(octets: number): void {
    this.#end += octets;
  }

  /** The next complete message; undefined until more has been read. */
  take(): Uint8Array | undefined {
    if (this.#end - this.#start < LENGTH_PREFIX_BYTES) return undefined;
    const start = this.#start + LENGTH_PREFIX_BYTES;
    const end = start + readUint16(this.#buffer, this.#start);
    if (end > this.#end) return undefined;
    this.#start = end;
    return this.#buffer.subarray(start, end);
  }
}

const NOTHING = new Uint8Array(0);

/**
 * Takes a stream apart that comes in pieces of its own. Messages are views: of the piece where they are whole in it, else
 * of a buffer that is not written to again. Whoever hands over a piece does not write to it any more.
 */
export class FrameSplitter {
  /** What has come of a message that is not complete, with room behind it. */
  #held = NOTHING;
  #length = 0;

  /** Calls `take` for each message that is complete now. */
  push(piece: Uint8Array, take: (message: Uint8Array) => void): void {
    const octets = this.#length === 0 ? piece : this.#append(piece);
    let at = 0;
    while (octets.length - at >= LENGTH_PREFIX_BYTES) {
      const start = at + LENGTH_PREFIX_BYTES;
      const end = start + readUint16(octets, at);
      if (end > octets.length) break;
      at = end;
      take(octets.subarray(start, end));
    }
    this.#hold(octets, at);
  }

  /** All that is held and the piece. */
  #append(piece: Uint8Array): Uint8Array {
    const length = this.#length + piece.length;
    if (length > this.#held.length) {
      // Grows with what has come, not with what the prefix announces: that costs a peer two octets.
      const larger = new Uint8Array(2 * length);
      larger.set(this.#held.subarray(0, this.#length));
      this.#held = larger;
    }
    this.#held.set(piece, this.#length);
    return this.#held.subarray(0, length);
  }

  /** Keeps what stands from `at` on; where messages have been taken from a buffer, in another. */
  #hold(octets: Uint8Array, at: number): void {
    const isHeld = at === 0 && octets.buffer === this.#held.buffer;
    if (!isHeld) this.#held = at === octets.length ? NOTHING : octets.slice(at);
    this.#length = octets.length - at;
  }
}
