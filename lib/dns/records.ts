/** A cursor over the resource records of a message, and TTLs. */

import { HeaderField } from "./header.ts";
import { readUint16, writeUint16 } from "./bytes.ts";
import { FormatError } from "./format_error.ts";
import { skipLabels } from "./name.ts";

/** Bytes of TYPE, CLASS, TTL and RDLENGTH, between the owner's name and the data (RFC 1035 §3.2.1). */
export const FIXED_BYTES = 10;

export type Section = "answer" | "authority" | "additional";

/**
 * Visits the resource records of a message in order, without an object per record. After `next()` returned true, the
 * fields describe the current record. Throws `FormatError` if a record runs past the message. Pointers of names are not
 * followed: `Message` checks them once.
 */
export class RecordCursor {
  /** Offset of the owner's name. */
  start = 0;
  /** Offset of TYPE. */
  fixed = 0;
  /** Offset behind the record. */
  end: number;

  readonly #bytes: Uint8Array;
  #index = 0;
  readonly #answers: number;
  readonly #beforeAdditional: number;
  readonly #count: number;

  constructor(bytes: Uint8Array, questionEnd: number) {
    this.#bytes = bytes;
    this.end = questionEnd;
    this.#answers = readUint16(bytes, HeaderField.ANSWERS);
    this.#beforeAdditional = this.#answers + readUint16(bytes, HeaderField.AUTHORITY);
    this.#count = this.#beforeAdditional + readUint16(bytes, HeaderField.ADDITIONAL);
  }

  /** Moves to the next record; false if there is none. */
  next(): boolean {
    if (this.#index === this.#count) return false;
    this.#index++;
    this.start = this.end;
    this.fixed = skipLabels(this.#bytes, this.start);
    if (this.fixed + FIXED_BYTES > this.#bytes.length) {
      throw new FormatError("a record runs past the end of the message");
    }
    this.end = this.data + readUint16(this.#bytes, this.fixed + 8);
    if (this.end > this.#bytes.length) {
      throw new FormatError("a record's data runs past the end of the message");
    }
    return true;
  }

  get type(): number {
    return readUint16(this.#bytes, this.fixed);
  }

  get class(): number {
    return readUint16(this.#bytes, this.fixed + 2);
  }

  /** Offset of the data. */
  get data(): number {
    return this.fixed + FIXED_BYTES;
  }

  get section(): Section {
    if (this.#index <= this.#answers) return "answer";
    return this.#index <= this.#beforeAdditional ? "authority" : "additional";
  }
}

/** Larger TTLs are read as this one: seven days (RFC 8767 §4). */
const MAX_TTL_SECONDS = 604_800;
/** Length of the shortest SOA data: one byte for each of two names, four for each of five numbers (RFC 1035 §3.3.13). */
const MIN_SOA_BYTES = 22;

/** The TTL at `offset`, in seconds. A TTL with the top bit set is large, not negative (RFC 8767 §4). */
export function readTtl(bytes: Uint8Array, offset: number): number {
  return Math.min(readUint16(bytes, offset) * 0x10000 + readUint16(bytes, offset + 2), MAX_TTL_SECONDS);
}

/** Writes a TTL in seconds at `offset`. */
export function writeTtl(bytes: Uint8Array, offset: number, ttl: number): void {
  writeUint16(bytes, offset, ttl >>> 16);
  writeUint16(bytes, offset + 2, ttl);
}

/** MINIMUM of an SOA record, in seconds: the maximum TTL of negative answers (RFC 2308 §4). 0 if the data is too short. */
export function soaMinimum(bytes: Uint8Array, data: number, end: number): number {
  return end - data < MIN_SOA_BYTES ? 0 : readTtl(bytes, end - 4);
}
