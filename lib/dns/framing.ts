import { readUint16 } from "./records.ts";

/** The two octets of length before each message on a stream (RFC 1035 §4.2.2). */
export const PREFIX = 2;

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
    if (room === 0 || Math.max(room, waiting) < this.#size >> 2) this.#renew(waiting);
    return this.#buffer.subarray(this.#end);
  }

  /** A new buffer grows with what has come, not with what the prefix announces: that costs a peer two octets. */
  #renew(waiting: number): void {
    const announced = waiting < PREFIX ? PREFIX : PREFIX + readUint16(this.#buffer, this.#start);
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
    if (this.#end - this.#start < PREFIX) return undefined;
    const start = this.#start + PREFIX;
    const end = start + readUint16(this.#buffer, this.#start);
    if (end > this.#end) return undefined;
    this.#start = end;
    return this.#buffer.subarray(start, end);
  }
}
