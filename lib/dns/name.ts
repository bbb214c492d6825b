import { HEADER_BYTES } from "./header.ts";
import { FormatError } from "./format_error.ts";

/** A name takes at most 255 octets, length octets and the root's included (RFC 1035 §3.1). */
export const MAX_NAME_BYTES = 255;
export const POINTER = 0xc0;
/** A pointer stands for labels (RFC 1035 §4.1.4), and a name has no more of them than this. */
export const MAX_POINTERS = 127;

/**
 * The offset just behind the name that starts at `offset`. It is read to its root, so that whoever follows it later, we
 * or the client, comes to an end.
 *
 * A compression pointer stands for "a prior occurrence" (RFC 1035 §4.1.4), so one is malformed unless it leads to labels
 * that begin and end before those it follows, as are the label types RFC 6891 §5 leaves undefined.
 */
export function skipName(bytes: Uint8Array, offset: number): number {
  let behind = 0;
  let pointers = 0;
  let octets = 1;
  for (let limit = Infinity, start = offset, at = offset;;) {
    const length = byteAt(bytes, at);
    if (length === 0) return behind || at + 1;
    if (length < POINTER) {
      at = nextLabel(bytes, at, length);
      octets += length + 1;
      if (octets > MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 octets");
      if (at >= limit) throw new FormatError("a compression pointer leads to no name before it");
      continue;
    }
    behind ||= at + 2;
    at = pointerTarget(bytes, at);
    if (at >= start) throw new FormatError("a compression pointer points forward");
    if (at < HEADER_BYTES) throw new FormatError("a compression pointer points into the header");
    if (++pointers > MAX_POINTERS) throw new FormatError("a name has too many compression pointers");
    limit = start;
    start = at;
  }
}

/** The offset just behind a name that must be spelled out, as the first name of a message is. */
export function skipPlainName(bytes: Uint8Array, offset: number): number {
  for (let at = offset;;) {
    const length = byteAt(bytes, at);
    if (length === 0) return at + 1;
    at = nextLabel(bytes, at, length);
    if (at - offset >= MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 octets");
  }
}

/**
 * The offset just behind a name as it stands at `offset`. A compression pointer ends it and is not followed: for names
 * that `MessageNames` has checked, or is to check.
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
    if (at - offset >= MAX_NAME_BYTES) throw new FormatError("a name is longer than 255 octets");
  }
}

/** Whether two names of one message, both skipped before, are the same, ASCII case aside (RFC 4343 §3). */
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

/** A name skipped before as zone files write it, with a final dot and escapes (RFC 1035 §5.1). For people only. */
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

/** An octet with ASCII capitals made small; label lengths are below "A" and pass as they are. */
export function lowerCase(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
}

function presentation(code: number): string {
  const character = String.fromCharCode(code);
  if (code <= 0x20 || code >= 0x7f) return `\\${String(code).padStart(3, "0")}`;
  return '."\\;@$()'.includes(character) ? `\\${character}` : character;
}

/** Where the labels continue: `at` itself, or the end of a chain of pointers. */
function follow(bytes: Uint8Array, at: number): number {
  while (byteAt(bytes, at) >= POINTER) at = pointerTarget(bytes, at);
  return at;
}

/** Where the compression pointer at `at` leads. Throws `FormatError`. */
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

/** Names as people write them (RFC 1035 §5.1), with or without the final dot, to their octets in lower case. */

/** Throws a `TypeError` that says what is wrong with the text. */
export function parseName(text: string): Uint8Array {
  const octets: number[] = [];
  for (const label of labels(text)) {
    if (label.length === 0 || label.length > 63) {
      throw new TypeError(`"${text}" has a label of ${label.length} octets; it takes 1 to 63`);
    }
    octets.push(label.length, ...label);
  }
  if (octets.length > 254) throw new TypeError(`"${text}" is longer than the 255 octets of a name`);
  return Uint8Array.of(...octets, 0);
}

function labels(text: string): number[][] {
  if (text === "" || text === ".") return [];
  const found: number[][] = [[]];
  for (const [token, decimal, escaped] of text.matchAll(/\\(\d{3})|\\(.)|[^]/g)) {
    if (token === "\\" || escaped !== undefined && escaped >= "0" && escaped <= "9") {
      throw new TypeError(
        `"${text}" has a backslash without an octet's three digits, or a character, behind it`,
      );
    }
    if (token === ".") found.push([]);
    else found.at(-1)!.push(octetOf(text, decimal, escaped ?? token));
  }
  if (found.at(-1)!.length === 0) found.pop();
  return found;
}

function octetOf(text: string, decimal: string | undefined, character: string): number {
  const code = decimal === undefined ? character.charCodeAt(0) : Number(decimal);
  if (code > 255) {
    throw new TypeError(`"${text}" has a character beyond one octet; write names in their xn-- form`);
  }
  return lowerCase(code);
}
