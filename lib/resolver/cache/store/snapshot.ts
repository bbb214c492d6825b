/**
 * The store as bytes of a file. Numbers are little-endian, as on every machine that Deno runs on.
 *
 *     header   magic: 8 bytes │ version: 4 │ ticks: 4 │ wall clock: 8 │ CRC of the policy: 4 │ CRC of the header: 4
 *     chunk    length: 4 │ CRC of the payload: 4 │ payload: entries, each behind its length: 4
 *     …
 *     chunk    empty; a file without it was cut short
 */

import { crc32 } from "node:zlib";
import { HEADER_BYTES, HeaderField } from "../../../dns/header.ts";
import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { Type } from "../../../dns/codes.ts";
import { areExtendedErrors } from "../../../dns/edns.ts";
import { FormatError } from "../../../dns/format_error.ts";
import { Message } from "../../../dns/message.ts";
import { readTtl, writeTtl } from "../../../dns/records.ts";
import { Cacheability } from "../cacheability.ts";
import {
  BOTH,
  ENTRY_HEADER_BYTES,
  entryLength,
  EntryWord,
  isSound,
  NXDOMAIN_CUT,
  packRotation,
  ROTATION_SHIFT,
  VARIANT_MASK,
  VARIANT_SHIFT,
} from "./entry.ts";
import { wantsProofs } from "../../question_key.ts";
import { type Store, TICKS_PER_SECOND } from "./store.ts";

/** Lengths of the two headers. */
export const SNAPSHOT_HEADER_BYTES = 32;
export const CHUNK_HEADER_BYTES = 8;
/** A chunk has the entries of one segment, so none is longer. */
const MAX_CHUNK_BYTES = 1 << 21;
/** Increment it with each change of the layout of entries. */
const VERSION = 3;
const MAGIC = "dotcache";

/** The contents of the header. */
export interface Origin {
  /** The store's clock and the wall clock at the moment of the snapshot; the latter in ms since 1970. */
  readonly ticks: number;
  readonly wallMs: number;
  /** The policy fingerprint: the settings under which the entries are valid. */
  readonly policy: string;
}

/** Why a file cannot be used. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

/** The header of a file. */
export function composeHeader({ ticks, wallMs, policy }: Origin): Uint8Array {
  const header = new Uint8Array(SNAPSHOT_HEADER_BYTES);
  header.set(new TextEncoder().encode(MAGIC));
  header.set(viewOf(Int32Array.of(VERSION, ticks)), 8);
  header.set(viewOf(Float64Array.of(wallMs)), 16);
  header.set(viewOf(Int32Array.of(crc32(policy))), 24);
  header.set(viewOf(Int32Array.of(crc32(header.subarray(0, 28)))), 28);
  return header;
}

/** The clocks of a snapshot. Throws `SnapshotError` if it is damaged, or was made under another policy. */
export function parseHeader(header: Uint8Array, policy: string): Omit<Origin, "policy"> {
  const words = new Int32Array(header.slice().buffer);
  if (new TextDecoder().decode(header.subarray(0, 8)) !== MAGIC) {
    throw new SnapshotError("it is not a snapshot of a cache");
  }
  if (words[2] !== VERSION) throw new SnapshotError(`its format is version ${words[2]}, not ${VERSION}`);
  if (words[7] !== (crc32(header.subarray(0, 28)) | 0)) throw new SnapshotError("it is damaged");
  if (words[6] !== (crc32(policy) | 0)) {
    throw new SnapshotError("it was saved with other routes or another protection of answers");
  }
  return { ticks: words[3]!, wallMs: new Float64Array(header.slice(16, 24).buffer)[0]! };
}

/** The chunk of one segment, header included. It is empty if the segment has no entries. */
export function composeChunk(store: Store, segment: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = CHUNK_HEADER_BYTES;
  store.visit(segment, (ref) => {
    const entry = store.entries.bytesAt(ref);
    parts.push(entry);
    length += 4 + entry.length;
  });
  const chunk = new Uint8Array(length);
  const view = new DataView(chunk.buffer);
  let at = CHUNK_HEADER_BYTES;
  for (const part of parts) {
    view.setInt32(at, part.length, true);
    chunk.set(part, at + 4);
    at += 4 + part.length;
  }
  const payload = chunk.subarray(CHUNK_HEADER_BYTES);
  view.setInt32(0, payload.length, true);
  view.setInt32(4, crc32(payload), true);
  return chunk;
}

/** Length of the payload behind this chunk header. Throws `SnapshotError` if it is invalid. */
export function chunkLength(header: Uint8Array): number {
  const length = wordAt(header, 0);
  if (length < 0 || length > MAX_CHUNK_BYTES) throw new SnapshotError("it is damaged");
  return length;
}

/** How the times of a file's entries become times of a store. */
export interface Restoring {
  /** Added to each time. */
  readonly shiftTicks: number;
  /** No entry expires later. */
  readonly latestTicks: number;
  /** An entry that expires earlier is left out. */
  readonly earliestTicks: number;
  /** Longer TTLs are reduced to this. */
  readonly maxTtlSeconds: number;
}

/** Restores the entries of a chunk. Throws `SnapshotError` at the first damaged one. */
export function restoreChunk(
  store: Store,
  header: Uint8Array,
  payload: Uint8Array,
  { shiftTicks, latestTicks, earliestTicks, maxTtlSeconds }: Restoring,
): void {
  if (wordAt(header, 4) !== (crc32(payload) | 0)) throw new SnapshotError("it is damaged");
  for (let at = 0; at < payload.length;) {
    const entry = payload.subarray(at + 4, at + 4 + wordAt(payload, at));
    shortenTtls(entry, maxTtlSeconds);
    const expiresAt = Math.min(wordAt(entry, 4 * EntryWord.EXPIRES_AT) + shiftTicks, latestTicks);
    if (expiresAt >= earliestTicks && (!isGenuine(entry) || !store.restore(entry, shiftTicks, latestTicks))) {
      throw new SnapshotError("it is damaged");
    }
    at += 4 + entry.length;
  }
}

/** Reduces the TTLs of an entry, and its lifetime with them. Throws `SnapshotError` if the entry is damaged. */
function shortenTtls(entry: Uint8Array, maxTtlSeconds: number): void {
  const storedAt = wordAt(entry, 4 * EntryWord.STORED_AT);
  const lifetimeTicks = maxTtlSeconds * TICKS_PER_SECOND;
  if (wordAt(entry, 4 * EntryWord.EXPIRES_AT) - storedAt <= lifetimeTicks) return;
  if (entry.length < ENTRY_HEADER_BYTES) throw new SnapshotError("it is damaged");
  const header = new Int32Array(entry.slice(0, ENTRY_HEADER_BYTES).buffer);
  if (!isSound(header, entry)) throw new SnapshotError("it is damaged");
  const times = Int32Array.of(
    storedAt + lifetimeTicks,
    storedAt + lifetimeTicks - Math.ceil(lifetimeTicks / 10),
  );
  entry.set(viewOf(times), 4 * EntryWord.EXPIRES_AT); // and REFRESH_AT, which follows it
  const count = header[EntryWord.RECORDS]! & 0xffff;
  const records = ENTRY_HEADER_BYTES + 2 * count + (header[EntryWord.LENGTHS]! >>> 16 & 0xff);
  for (let i = 0; i < count; i++) {
    const at = records + readUint16(entry, ENTRY_HEADER_BYTES + 2 * i);
    writeTtl(entry, at, Math.min(readTtl(entry, at), maxTtlSeconds));
  }
}

/** Used for one entry at a time. Its limits leave each TTL as it is. */
const assessment = new Cacheability({ minTtl: 0, maxTtl: 0xffff_ffff });

/**
 * Whether the store could have made an entry of a file from a response: name and records are well-formed, pointers lead to names,
 * the offsets lead to TTLs, and the flags are true. A checksum proves none of that.
 */
function isGenuine(entry: Uint8Array): boolean {
  if (entry.length < ENTRY_HEADER_BYTES) return false;
  const words = new Int32Array(entry.slice(0, ENTRY_HEADER_BYTES).buffer);
  if (!isSound(words, entry)) return false;
  const flags = words[EntryWord.FLAGS]!;
  try {
    const response = messageOf(words, entry);
    assessment.assess(response, wantsProofs(flags >> VARIANT_SHIFT & VARIANT_MASK));
    if (response.recordsEnd !== response.bytes.length || response.edns) return false;
    if ((flags & NXDOMAIN_CUT) !== 0 && !assessment.isNxdomainCut) return false;
    const rotation = words[EntryWord.RECORDS]! >>> ROTATION_SHIFT;
    if (rotation !== 0 && rotation !== packRotation(assessment.firstRotating, assessment.rotating)) {
      return false;
    }
    if ((flags & BOTH) !== 0 && !assessment.isForBoth) return false;
    const count = words[EntryWord.RECORDS]! & 0xffff;
    const lengths = words[EntryWord.LENGTHS]!;
    const end = entryLength(count, lengths);
    if (!areExtendedErrors(entry.subarray(end - (lengths >>> 24), end))) return false;
    if (!response.pointersLeadToNames || assessment.count !== count) return false;
    for (let i = 0; i < count; i++) {
      if (readUint16(entry, ENTRY_HEADER_BYTES + 2 * i) !== assessment.offsets[i]) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** The response that an entry was made of, without its OPT record. For a denial the type does not matter. */
function messageOf(words: Int32Array, entry: Uint8Array): Message {
  const lengths = words[EntryWord.LENGTHS]!;
  const [nameLength, recordsLength] = [lengths >>> 16 & 0xff, lengths & 0xffff];
  const name = ENTRY_HEADER_BYTES + 2 * (words[EntryWord.RECORDS]! & 0xffff);
  const records = name + nameLength;
  const bytes = new Uint8Array(HEADER_BYTES + nameLength + 4 + recordsLength);
  writeUint16(bytes, HeaderField.FLAGS, words[EntryWord.FLAGS]!);
  writeUint16(bytes, HeaderField.QUESTIONS, 1);
  writeUint16(bytes, HeaderField.ANSWERS, words[EntryWord.COUNTS]! >>> 16);
  writeUint16(bytes, HeaderField.AUTHORITY, words[EntryWord.COUNTS]!);
  const counts = words[EntryWord.COUNTS]!;
  writeUint16(
    bytes,
    HeaderField.ADDITIONAL,
    (words[EntryWord.RECORDS]! & 0xffff) - (counts >>> 16) - (counts & 0xffff),
  );
  bytes.set(entry.subarray(name, records), HEADER_BYTES);
  const type = words[EntryWord.TYPE_AND_CLASS]! >>> 16;
  writeUint16(bytes, HEADER_BYTES + nameLength, type === 0 ? Type.A : type);
  writeUint16(bytes, HEADER_BYTES + nameLength + 2, words[EntryWord.TYPE_AND_CLASS]!);
  bytes.set(entry.subarray(records, records + recordsLength), HEADER_BYTES + nameLength + 4);
  return Message.parse(bytes);
}

function wordAt(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new SnapshotError("it is damaged");
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

function viewOf(array: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer);
}
