/** EDNS: the OPT record and its options, read and written (RFC 6891 §6.1). */

import { HEADER_BYTES, HeaderField } from "./header.ts";
import { joinBytes, readUint16, writeUint16 } from "./bytes.ts";
import { EdnsOption, Type } from "./codes.ts";
import { FormatError } from "./format_error.ts";
import { skipLabels } from "./name.ts";
import { RecordCursor } from "./records.ts";

/** The DO bit in the lower 16 bits of the OPT record's TTL (RFC 3225 §3). */
export const DNSSEC_OK = 0x8000;

/** Bounds on the extended errors of a response, because an upstream can send any number and length. */
const MAX_EXTENDED_ERRORS = 4;
const MAX_EXTRA_TEXT_BYTES = 200;

/** Length of OPTION-CODE and OPTION-LENGTH (RFC 6891 §6.1.2). */
export const OPTION_HEADER_BYTES = 4;

/** Length of an extended error without a text: option header and INFO-CODE (RFC 8914 §2). */
export const EXTENDED_ERROR_BYTES = 6;

/** The OPT record of a message, read in place (RFC 6891 §6.1). */
export class Edns {
  readonly #bytes: Uint8Array;
  /** Offset of TYPE. */
  readonly #fixed: number;
  readonly #end: number;

  /** Throws `FormatError` if an option runs past the record. */
  constructor(bytes: Uint8Array, fixed: number, end: number) {
    this.#bytes = bytes;
    this.#fixed = fixed;
    this.#end = end;
    for (let at = fixed + 10; at < end; at = this.#after(at)) {
      if (at + OPTION_HEADER_BYTES > end || this.#after(at) > end) {
        throw new FormatError("an EDNS option runs past its record");
      }
    }
  }

  /** The largest UDP payload that the sender accepts, in bytes. A value below 512 means 512. */
  get udpSize(): number {
    return readUint16(this.#bytes, this.#fixed + 2);
  }

  /** The upper eight bits of the twelve-bit RCODE. */
  get extendedRcode(): number {
    return this.#bytes[this.#fixed + 4]!;
  }

  get version(): number {
    return this.#bytes[this.#fixed + 5]!;
  }

  get dnssecOk(): boolean {
    return (readUint16(this.#bytes, this.#fixed + 6) & DNSSEC_OK) !== 0;
  }

  /** The data of the first option with this code, or undefined. */
  option(code: number): Uint8Array | undefined {
    for (let at = this.#fixed + 10; at < this.#end; at = this.#after(at)) {
      if (readUint16(this.#bytes, at) === code) {
        return this.#bytes.subarray(at + OPTION_HEADER_BYTES, this.#after(at));
      }
    }
    return undefined;
  }

  /** TIMEOUT of the keep-alive option (RFC 7828 §3.1); undefined without one. */
  get keepAliveMs(): number | undefined {
    const timeout = this.option(EdnsOption.TCP_KEEPALIVE);
    return timeout?.length === 2 ? readUint16(timeout, 0) * 100 : undefined;
  }

  /** The first extended errors (RFC 8914 §2 permits several) with their option headers. Long texts are cut. */
  extendedErrors(): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (
      let at = this.#fixed + 10;
      at < this.#end && found.length < MAX_EXTENDED_ERRORS;
      at = this.#after(at)
    ) {
      if (readUint16(this.#bytes, at) !== EdnsOption.EXTENDED_ERROR) continue;
      if (this.#after(at) >= at + EXTENDED_ERROR_BYTES) {
        found.push(cutExtraText(this.#bytes.subarray(at, this.#after(at))));
      }
    }
    return found;
  }

  #after(at: number): number {
    return at + OPTION_HEADER_BYTES + readUint16(this.#bytes, at + 2);
  }
}

/** The extended error, or a copy with the text cut if the text is too long. `option` includes the option header. */
export function cutExtraText(option: Uint8Array): Uint8Array {
  if (option.length <= EXTENDED_ERROR_BYTES + MAX_EXTRA_TEXT_BYTES) return option;
  let end = EXTENDED_ERROR_BYTES + MAX_EXTRA_TEXT_BYTES;
  // Cut at the start of a UTF-8 character: continuation bytes begin with the bits 10.
  while (end > EXTENDED_ERROR_BYTES && (option[end]! & 0xc0) === 0x80) end--;
  const cut = option.slice(0, end);
  writeUint16(cut, 2, end - OPTION_HEADER_BYTES);
  return cut;
}

/** Maximum length of the extended errors of one cache entry. */
const MAX_BOUNDED_BYTES = 255;

const NO_ERRORS = new Uint8Array(0);

/** The first extended errors of a response as one array, with option headers and long texts cut. */
export function boundedExtendedErrors(edns: Edns | undefined): Uint8Array {
  const errors = edns?.extendedErrors() ?? [];
  if (errors.length === 0) return NO_ERRORS;
  const kept = new Uint8Array(MAX_BOUNDED_BYTES);
  let at = 0;
  for (const error of errors.map(cutExtraText)) {
    if (at + error.length > MAX_BOUNDED_BYTES) break;
    kept.set(error, at);
    at += error.length;
  }
  return kept.subarray(0, at);
}

/** Whether the bytes have the form that `boundedExtendedErrors` returns. */
export function areExtendedErrors(bytes: Uint8Array): boolean {
  let at = 0;
  while (at + EXTENDED_ERROR_BYTES <= bytes.length && readUint16(bytes, at) === EdnsOption.EXTENDED_ERROR) {
    const length = readUint16(bytes, at + 2);
    if (length < 2) return false;
    at += OPTION_HEADER_BYTES + length;
  }
  return at === bytes.length;
}

/** Length of an OPT record without options: root, TYPE, CLASS, TTL, RDLENGTH. */
export const OPT_BYTES = 11;

/** Writes an OPT record of `OPT_BYTES`, without options and without upper bits of the RCODE. */
export function writeOpt(into: Uint8Array, at: number, udpSize: number, dnssecOk: boolean): void {
  into[at] = 0;
  writeUint16(into, at + 1, Type.OPT);
  writeUint16(into, at + 3, udpSize);
  writeUint16(into, at + 5, 0);
  writeUint16(into, at + 7, dnssecOk ? DNSSEC_OK : 0);
  writeUint16(into, at + 9, 0);
}

/** An OPT record with the upper eight bits of the RCODE and the options. Options include their headers. */
export function composeOptRecord(rcode: number, options: readonly Uint8Array[]): Uint8Array {
  const joined = joinBytes(options);
  const record = new Uint8Array(OPT_BYTES + joined.length);
  writeOpt(record, 0, 512, false);
  record[5] = rcode >> 4;
  writeUint16(record, 9, joined.length);
  record.set(joined, OPT_BYTES);
  return record;
}

/**
 * The TYPE offset of the first OPT record of a message that `Message.parse` may reject. Undefined if there is none, or if
 * a malformed record comes first.
 */
export function findOpt(bytes: Uint8Array): number | undefined {
  try {
    let at = HEADER_BYTES;
    for (let left = readUint16(bytes, HeaderField.QUESTIONS); left > 0; left--) {
      at = skipLabels(bytes, at) + 4;
    }
    const cursor = new RecordCursor(bytes, at);
    while (cursor.next()) {
      if (cursor.type === Type.OPT && cursor.section === "additional") return cursor.fixed;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return undefined;
}
