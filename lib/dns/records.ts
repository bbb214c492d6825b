import { FormatError } from "./format_error.ts";
import { skipLabels } from "./name.ts";

/** TYPE, CLASS, TTL and RDLENGTH: what stands between the owner's name and the data (RFC 1035 §3.2.1). */
const FIXED = 10;

export type Section = "answer" | "authority" | "additional";

/**
 * Walks the resource records of a message in order, without an object per record: after `next()` has returned true,
 * the fields tell of the record it stands on. Throws `FormatError` where a record runs out of the message. The pointers of
 * names are not followed: `Message` checks them once.
 */
export class RecordCursor {
  /** Offset of the owner's name. */
  start = 0;
  /** Offset of TYPE. */
  fixed = 0;
  /** Offset just behind the record. */
  end: number;

  readonly #bytes: Uint8Array;
  #index = 0;
  readonly #answers: number;
  readonly #beforeAdditional: number;
  readonly #count: number;

  constructor(bytes: Uint8Array, questionEnd: number) {
    this.#bytes = bytes;
    this.end = questionEnd;
    this.#answers = readUint16(bytes, 6);
    this.#beforeAdditional = this.#answers + readUint16(bytes, 8);
    this.#count = this.#beforeAdditional + readUint16(bytes, 10);
  }

  next(): boolean {
    if (this.#index === this.#count) return false;
    this.#index++;
    this.start = this.end;
    this.fixed = skipLabels(this.#bytes, this.start);
    if (this.fixed + FIXED > this.#bytes.length) {
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
    return this.fixed + FIXED;
  }

  get section(): Section {
    if (this.#index <= this.#answers) return "answer";
    return this.#index <= this.#beforeAdditional ? "authority" : "additional";
  }
}

/** The 16 bits at `offset`, in network order. The caller has checked the bounds. */
export function readUint16(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! << 8 | bytes[offset + 1]!;
}

/** Puts 16 bits at `offset`, in network order. */
export function writeUint16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >> 8;
  bytes[offset + 1] = value;
}
