import { HEADER_BYTES, HeaderField } from "./header.ts";
import { joinBytes, readUint16, writeUint16 } from "./bytes.ts";
import { EdnsOption, Type } from "./codes.ts";
import { FormatError } from "./format_error.ts";
import { skipLabels } from "./name.ts";
import { RecordCursor } from "./records.ts";

/** The DO bit, in the OPT record's last 16 bits of TTL (RFC 3225 §3). */
export const DNSSEC_OK = 0x8000;

/** Extended errors beyond so many, and bytes of their texts beyond so many, are left out: they come from strangers. */
const MAX_REASONS = 4;
const MAX_REASON_TEXT = 200;

/** The OPT record of a message, read in place (RFC 6891 §6.1). Throws `FormatError` if its options do not add up. */
export class Edns {
  readonly #bytes: Uint8Array;
  /** Offset of TYPE. */
  readonly #fixed: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, fixed: number, end: number) {
    this.#bytes = bytes;
    this.#fixed = fixed;
    this.#end = end;
    for (let at = fixed + 10; at < end; at = this.#after(at)) {
      if (at + 4 > end || this.#after(at) > end) throw new FormatError("an EDNS option runs past its record");
    }
  }

  /** The largest UDP payload the sender takes, in octets, as it stands there; less than 512 means 512. */
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

  /** The data of the first option with this code; undefined where there is none. */
  option(code: number): Uint8Array | undefined {
    for (let at = this.#fixed + 10; at < this.#end; at = this.#after(at)) {
      if (readUint16(this.#bytes, at) === code) return this.#bytes.subarray(at + 4, this.#after(at));
    }
    return undefined;
  }

  /** TIMEOUT of the keep-alive option, in ms (RFC 7828 §3.1); undefined where there is none. */
  get keepAliveMs(): number | undefined {
    const timeout = this.option(EdnsOption.TCP_KEEPALIVE);
    return timeout?.length === 2 ? readUint16(timeout, 0) * 100 : undefined;
  }

  /** The first extended errors, option headers included, with long texts cut (RFC 8914 §2: there may be several). */
  extendedErrors(): Uint8Array[] {
    const found: Uint8Array[] = [];
    for (let at = this.#fixed + 10; at < this.#end && found.length < MAX_REASONS; at = this.#after(at)) {
      if (readUint16(this.#bytes, at) !== EdnsOption.EXTENDED_ERROR) continue;
      if (this.#after(at) >= at + 6) found.push(cutExtraText(this.#bytes.subarray(at, this.#after(at))));
    }
    return found;
  }

  #after(at: number): number {
    return at + 4 + readUint16(this.#bytes, at + 2);
  }
}

/** An extended error, option header included; a copy with a shorter text where the text is long. */
export function cutExtraText(option: Uint8Array): Uint8Array {
  if (option.length <= REASON_HEADER + MAX_REASON_TEXT) return option;
  let end = REASON_HEADER + MAX_REASON_TEXT;
  // Not within a character of UTF-8: bytes that continue one begin with the bits 10.
  while (end > REASON_HEADER && (option[end]! & 0xc0) === 0x80) end--;
  const cut = option.slice(0, end);
  writeUint16(cut, 2, end - 4);
  return cut;
}

/** OPTION-CODE, OPTION-LENGTH and INFO-CODE, in bytes (RFC 8914 §2). */
const REASON_HEADER = 6;

/** Extended errors that are kept with one answer have no more bytes in all. */
const MAX_KEPT = 255;

const NO_ERRORS = new Uint8Array(0);

/** The extended errors of a response, options one behind the other, within a bound: the first ones, their texts cut. */
export function boundedExtendedErrors(edns: Edns | undefined): Uint8Array {
  const errors = edns?.extendedErrors() ?? [];
  if (errors.length === 0) return NO_ERRORS;
  const kept = new Uint8Array(MAX_KEPT);
  let at = 0;
  for (const error of errors.map(cutExtraText)) {
    if (at + error.length > MAX_KEPT) break;
    kept.set(error, at);
    at += error.length;
  }
  return kept.subarray(0, at);
}

/** Whether bytes are what `boundedErrors` returns. */
export function areExtendedErrors(bytes: Uint8Array): boolean {
  let at = 0;
  while (at + 6 <= bytes.length && readUint16(bytes, at) === EdnsOption.EXTENDED_ERROR) {
    const length = readUint16(bytes, at + 2);
    if (length < 2) return false;
    at += 4 + length;
  }
  return at === bytes.length;
}

/** OPT without options: root, TYPE, CLASS, TTL, RDLENGTH. In octets. */
export const OPT_BYTES = 11;

/** `OPT_FIXED` octets: an OPT record without options, for an RCODE of four bits. */
export function writeOpt(into: Uint8Array, at: number, udpSize: number, dnssecOk: boolean): void {
  into[at] = 0;
  writeUint16(into, at + 1, Type.OPT);
  writeUint16(into, at + 3, udpSize);
  writeUint16(into, at + 5, 0);
  writeUint16(into, at + 7, dnssecOk ? DNSSEC_OK : 0);
  writeUint16(into, at + 9, 0);
}

/** An OPT record for a response of our own: the upper bits of its RCODE, and options as they are, headers included. */
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
 * The TYPE offset of the first OPT record in a message that `Message.parse` refuses or that asks for another opcode;
 * undefined where the records cannot be followed as far as that.
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
