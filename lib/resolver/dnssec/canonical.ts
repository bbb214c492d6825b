/**
 * Names and record data in canonical form (RFC 4034 §6). A canonical name is its lower-case, uncompressed wire form, one character per
 * byte: usable as a map key, and cheap to compare and to cut.
 */
import { joinBytes } from "../../dns/bytes.ts";
import { decompressName } from "../../dns/compose/decompress.ts";
import { FormatError } from "../../dns/format_error.ts";
import { COMPRESSIBLE, type NamesInData } from "../../dns/message_names.ts";
import { lowerCase, skipName } from "../../dns/name.ts";
import { Type } from "../../dns/codes.ts";

/** A canonical name. */
export type CanonicalName = string;

export const ROOT_NAME: CanonicalName = "\0";

/** The canonical form of the name at `offset`, which may be compressed and has been checked. */
export function canonicalName(bytes: Uint8Array, offset: number): CanonicalName {
  return String.fromCharCode(...canonicalNameBytes(bytes, offset));
}

function canonicalNameBytes(bytes: Uint8Array, offset: number): Uint8Array {
  const name = decompressName(bytes, offset);
  for (let i = 0; i < name.length; i++) name[i] = lowerCase(name[i]!);
  return name;
}

/** The wire form of a canonical name. */
export function nameBytes(name: CanonicalName): Uint8Array {
  const bytes = new Uint8Array(name.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

/** The name without its first label. Precondition: not the root. */
export function parentName(name: CanonicalName): CanonicalName {
  return name.slice(name.charCodeAt(0) + 1);
}

/** How many labels the name has, the root and a leading `*` not counted (RFC 4034 §3.1.3). */
export function countLabels(name: CanonicalName): number {
  let count = 0;
  for (let at = 0; name.charCodeAt(at) !== 0; at += name.charCodeAt(at) + 1) count++;
  return name.startsWith("\x01*") ? count - 1 : count;
}

/** Whether a name is the other, or below it. */
export function isWithinName(name: CanonicalName, ancestor: CanonicalName): boolean {
  let at = 0;
  while (name.length - at > ancestor.length) at += name.charCodeAt(at) + 1;
  return name.length - at === ancestor.length && name.endsWith(ancestor);
}

/** The suffix of a name that has `labels` labels. Precondition: the name has at least as many. */
export function suffixOf(name: CanonicalName, labels: number): CanonicalName {
  let suffix = name;
  for (let left = labelsOf(name).length - labels; left > 0; left--) suffix = parentName(suffix);
  return suffix;
}

/** Negative where `a` sorts before `b`, zero where they are equal (RFC 4034 §6.1: label by label, from the right). */
export function compareNames(a: CanonicalName, b: CanonicalName): number {
  const ours = labelsOf(a);
  const theirs = labelsOf(b);
  for (let i = 1; i <= Math.min(ours.length, theirs.length); i++) {
    const one = ours.at(-i)!;
    const other = theirs.at(-i)!;
    if (one !== other) return one < other ? -1 : 1;
  }
  return ours.length - theirs.length;
}

/** The labels without their lengths, the root's left out. */
export function labelsOf(name: CanonicalName): string[] {
  const labels: string[] = [];
  for (let at = 0; name.charCodeAt(at) !== 0; at += name.charCodeAt(at) + 1) {
    labels.push(name.slice(at + 1, at + 1 + name.charCodeAt(at)));
  }
  return labels;
}

/** Types with names in their data that are lower case in canonical form, beside those that may be compressed (RFC 6840 §5.1). */
const LOWER_CASE: ReadonlyMap<number, Omit<NamesInData, "behind">> = new Map<
  number,
  Omit<NamesInData, "behind">
>([
  ...COMPRESSIBLE,
  [Type.DNAME, { before: 0, names: 1 }],
  [24, { before: 18, names: 1 }], // SIG
  [36, { before: 2, names: 1 }], // KX
  [Type.RRSIG, { before: 18, names: 1 }],
]);

const NO_NAMES = { before: 0, names: 0 };
const NAPTR = 35;

/** Record data in canonical form (RFC 4034 §6.2): names expanded and in lower case. Throws `FormatError`. */
export function canonicalData(bytes: Uint8Array, type: number, start: number, end: number): Uint8Array {
  const { before, names } = type === NAPTR
    ? { before: beforeNaptrName(bytes, start, end), names: 1 }
    : LOWER_CASE.get(type) ?? NO_NAMES;
  if (names === 0) return bytes.slice(start, end);
  let at = start + before;
  if (at > end) throw new FormatError("a record's data is too short for its type");
  const parts = [bytes.subarray(start, at)];
  for (let i = 0; i < names; i++) {
    const next = skipName(bytes, at);
    parts.push(canonicalNameBytes(bytes, at));
    at = next;
  }
  if (at > end) throw new FormatError("a name runs past the end of its record");
  parts.push(bytes.subarray(at, end));
  return joinBytes(parts);
}

/** ORDER, PREFERENCE and three character strings stand before the name (RFC 3403 §4.1). */
function beforeNaptrName(bytes: Uint8Array, start: number, end: number): number {
  let at = start + 4;
  for (let i = 0; i < 3 && at < end; i++) at += bytes[at]! + 1;
  return at - start;
}

/** Orders byte strings as unsigned, left-justified octet sequences (RFC 4034 §6.3). */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
