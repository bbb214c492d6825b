/**
 * Names: skip, compare, print and parse them.
 *
 * A compression pointer stands for "a prior occurrence" of a name (RFC 1035 §4.1.4). A pointer is therefore malformed
 * unless its target begins and ends before the name that the pointer belongs to. Chains of pointers always end.
 */

import { HEADER_BYTES } from "./header.ts";
import { FormatError } from "./format_error.ts";

/** Maximum length of a name, including all length bytes and that of the root (RFC 1035 §3.1). */
export const MAX_NAME_BYTES = 255;
/** Length bytes from this value on begin a compression pointer. */
export const POINTER = 0xc0;
/** Maximum number of pointers in a name: each pointer replaces a label, and a name has at most 127. */
export const MAX_POINTERS = 127;

/**
 * The offset behind the name at `offset`. Follows the pointers to the root, so that later readers can follow them without
 * a check. Throws `FormatError` for a malformed pointer and for undefined label types (RFC 6891 §5).
 */
export function skipName(bytes: Uint8Array, offset: number): number {
  let behind = 0;
  let pointers = 0;
  let nameBytes = 1;
  for (let limit = Infinity, start = offset, at = offset;;) {
    const length = byteAt(bytes, at);
    if (length === 0) return behind || at + 1;
    if (length < POINTER) {
      at = nextLabel(bytes, at, length);
      nameBytes += length + 1;
      if (nameBytes > MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 bytes");
      if (at >= limit) throw new FormatError("a compression pointer leads to no name before it");
      continue;
    }
    behind ||= at + 2;
    at = pointerTarget(bytes, at);
    if (at >= start) throw new FormatError("a compression pointer points forward");
    // The header changes, so such a pointer would read another name with each message ID.
    if (at < HEADER_BYTES) throw new FormatError("a compression pointer points into the header");
    if (++pointers > MAX_POINTERS) throw new FormatError("a name has too many compression pointers");
    limit = start;
    start = at;
  }
}

/** The offset behind a name that must not be compressed, such as QNAME. Throws `FormatError`. */
export function skipPlainName(bytes: Uint8Array, offset: number): number {
  for (let at = offset;;) {
    const length = byteAt(bytes, at);
    if (length === 0) return at + 1;
    at = nextLabel(bytes, at, length);
    if (at - offset >= MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 bytes");
  }
}

/**
 * The offset behind the name at `offset`, without following a compression pointer. `MessageNames` checks the pointers.
 * Throws `FormatError`.
 */
export function skipLabels(bytes: Uint8Array, offset: number): number {
  for (let at = offset;;) {
    const length = byteAt(bytes, at);
    if (length === 0) return at + 1;
    if (length >= POINTER) {
      byteAt(bytes, at + 1);
      return at + 2;
    }
    at = nextLabel(bytes, at, length);
    if (at - offset >= MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 bytes");
  }
}

/** Whether two names of one message are equal, ignoring ASCII case (RFC 4343 §3). Precondition: both were skipped. */
export function equalNames(bytes: Uint8Array, one: number, other: number): boolean {
  let a = one;
  let b = other;
  for (;;) {
    a = follow(bytes, a);
    b = follow(bytes, b);
    if (a === b) return true;
    const length = byteAt(bytes, a);
    if (length !== byteAt(bytes, b)) return false;
    if (length === 0) return true;
    for (let i = 1; i <= length; i++) {
      if (lowerCase(byteAt(bytes, a + i)) !== lowerCase(byteAt(bytes, b + i))) return false;
    }
    a += length + 1;
    b += length + 1;
  }
}

/** The name as text with a final dot and escapes (RFC 1035 §5.1). Precondition: the name was skipped. */
export function nameToString(bytes: Uint8Array, offset: number): string {
  let text = "";
  for (let at = follow(bytes, offset);;) {
    const length = byteAt(bytes, at);
    if (length === 0) return text === "" ? "." : text;
    for (let i = 1; i <= length; i++) text += presentation(byteAt(bytes, at + i));
    text += ".";
    at = follow(bytes, at + length + 1);
  }
}

/** The byte in ASCII lower case. Length bytes are below "A" and do not change. */
export function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

function presentation(code: number): string {
  const character = String.fromCharCode(code);
  if (code <= 0x20 || code >= 0x7f) return `\\${String(code).padStart(3, "0")}`;
  return '."\\;@$()'.includes(character) ? `\\${character}` : character;
}

/** Offset of the next label: `at`, or the end of the chain of pointers at `at`. */
function follow(bytes: Uint8Array, at: number): number {
  while (byteAt(bytes, at) >= POINTER) at = pointerTarget(bytes, at);
  return at;
}

/** The target of the compression pointer at `at`. Throws `FormatError`. */
export function pointerTarget(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) & 0x3f) << 8 | byteAt(bytes, at + 1);
}

/** The offset behind the label at `at`. Throws `FormatError` for a label of an undefined type or past the end. */
export function nextLabel(bytes: Uint8Array, at: number, length: number): number {
  if (length > 63) throw new FormatError(`label type 0x${length.toString(16)} is not in use`);
  if (at + length >= bytes.length) throw new FormatError("a name runs past the end of the message");
  return at + length + 1;
}

/** The byte at `at`. Throws `FormatError` behind the end of the message. */
export function byteAt(bytes: Uint8Array, at: number): number {
  const value = bytes[at];
  if (value === undefined) throw new FormatError("a name runs past the end of the message");
  return value;
}

/**
 * The bytes, in lower case, of a name in the syntax of zone files (RFC 1035 §5.1). The final dot is optional.
 * Throws a `TypeError` that names the fault.
 */
export function parseName(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of labels(text)) {
    if (label.length === 0 || label.length > 63) {
      throw new TypeError(`"${text}" has a label of ${label.length} bytes; write 1 to 63`);
    }
    bytes.push(label.length, ...label);
  }
  if (bytes.length > 254) throw new TypeError(`"${text}" is longer than the 255 bytes of a name`);
  return Uint8Array.of(...bytes, 0);
}

function labels(text: string): number[][] {
  if (text === "" || text === ".") return [];
  const found: number[][] = [[]];
  for (const [token, decimal, escaped] of text.matchAll(/\\(\d{3})|\\(.)|[^]/g)) {
    if (token === "\\" || escaped !== undefined && escaped >= "0" && escaped <= "9") {
      throw new TypeError(
        `"${text}" has a backslash without a character or the three digits of a byte behind it`,
      );
    }
    if (token === ".") found.push([]);
    else found.at(-1)!.push(byteOf(text, decimal, escaped ?? token));
  }
  if (found.at(-1)!.length === 0) found.pop();
  return found;
}

function byteOf(text: string, decimal: string | undefined, character: string): number {
  const code = decimal === undefined ? character.charCodeAt(0) : Number(decimal);
  if (code > 255) {
    throw new TypeError(`"${text}" has a character outside Latin-1; write the name in its xn-- form`);
  }
  return lowerCase(code);
}
