import { HeaderField } from "./header.ts";
import { readUint16, writeUint16 } from "./bytes.ts";
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
    this.#answers = readUint16(bytes, HeaderField.ANSWERS);
    this.#beforeAdditional = this.#answers + readUint16(bytes, HeaderField.AUTHORITY);
    this.#count = this.#beforeAdditional + readUint16(bytes, HeaderField.ADDITIONAL);
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

/** A TTL that says more is taken for this, in seconds: seven days (RFC 8767 §4). */
const MOST = 604_800;
/** MNAME and RNAME take an octet each at least, the five numbers four each (RFC 1035 §3.3.13). */
const LEAST_SOA = 22;

/** The TTL at `offset`, in seconds. With its top bit set it is a large number and not a negative one (RFC 8767 §4). */
export function readTtl(bytes: Uint8Array, offset: number): number {
  return Math.min(readUint16(bytes, offset) * 0x10000 + readUint16(bytes, offset + 2), MOST);
}

export function writeTtl(bytes: Uint8Array, offset: number, ttl: number): void {
  writeUint16(bytes, offset, ttl >>> 16);
  writeUint16(bytes, offset + 2, ttl);
}

/** MINIMUM, the last number of an SOA record's data: how long a negative answer holds (RFC 2308 §4). */
export function soaMinimum(bytes: Uint8Array, data: number, end: number): number {
  return end - data < LEAST_SOA ? 0 : readTtl(bytes, end - 4);
}
