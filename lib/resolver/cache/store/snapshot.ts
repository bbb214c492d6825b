/**
 * The store as a file: a header, then chunks that each have their length and checksum, then an empty chunk, without which
 * the file was cut. Numbers have their lowest octet first, as on every machine that Deno runs on.
 */
import { crc32 } from "node:zlib";
import { HEADER_BYTES } from "../../../dns/header.ts";
import { readUint16, writeUint16 } from "../../../dns/bytes.ts";
import { Type } from "../../../dns/codes.ts";
import { areExtendedErrors } from "../../../dns/edns.ts";
import { FormatError } from "../../../dns/format_error.ts";
import { Message } from "../../../dns/message.ts";
import { readTtl, writeTtl } from "../../../dns/records.ts";
import { Cacheability } from "../cacheability.ts";
import {
  BOTH,
  ENTRY_HEADER,
  entryLength,
  EntryWord,
  isSound,
  NXDOMAIN_CUT,
  ROTATES,
  TAG_MASK,
  TAG_SHIFT,
} from "./entry.ts";
import { wantsProofs } from "../../question_key.ts";
import { type Store, TICKS_PER_SECOND } from "./store.ts";

/** Octets of the header, and of what stands before each chunk. */
export const SNAPSHOT_HEADER = 32;
export const CHUNK_HEADER = 8;
/** No chunk is longer: one is a segment of the store. In octets. */
const MAX_CHUNK = 1 << 21;
/** To be changed with whatever changes the layout of entries. */
const VERSION = 2;
const MAGIC = "dotcache";

/** What the header tells. */
export interface Origin {
  /** The store's clock when the snapshot was taken, in ticks, and the wall's at that moment, in ms since 1970. */
  readonly ticks: number;
  readonly wall: number;
  /** Which names went to which upstreams, and what their answers had to pass: under others other answers are right. */
  readonly conditions: string;
}

/** Why a file cannot be used. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
}

export function composeHeader({ ticks, wall, conditions }: Origin): Uint8Array {
  const header = new Uint8Array(SNAPSHOT_HEADER);
  header.set(new TextEncoder().encode(MAGIC));
  header.set(octetsOf(Int32Array.of(VERSION, ticks)), 8);
  header.set(octetsOf(Float64Array.of(wall)), 16);
  header.set(octetsOf(Int32Array.of(crc32(conditions))), 24);
  header.set(octetsOf(Int32Array.of(crc32(header.subarray(0, 28)))), 28);
  return header;
}

/** When the snapshot was taken; throws `SnapshotError` unless it was under these conditions. */
export function parseHeader(header: Uint8Array, conditions: string): Omit<Origin, "conditions"> {
  const words = new Int32Array(header.slice().buffer);
  if (new TextDecoder().decode(header.subarray(0, 8)) !== MAGIC) {
    throw new SnapshotError("it is no snapshot of a cache");
  }
  if (words[2] !== VERSION) throw new SnapshotError(`its format is version ${words[2]}, not ${VERSION}`);
  if (words[7] !== (crc32(header.subarray(0, 28)) | 0)) throw new SnapshotError("it is damaged");
  if (words[6] !== (crc32(conditions) | 0)) {
    throw new SnapshotError("it was saved with other routes, or other protection of answers");
  }
  return { ticks: words[3]!, wall: new Float64Array(header.slice(16, 24).buffer)[0]! };
}

/** The entries of one segment, header included; an empty chunk where there are none. */
export function composeChunk(store: Store, segment: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = CHUNK_HEADER;
  store.visit(segment, (ref) => {
    const octets = store.entries.bytesAt(ref);
    parts.push(octets);
    length += 4 + octets.length;
  });
  const chunk = new Uint8Array(length);
  const view = new DataView(chunk.buffer);
  let at = CHUNK_HEADER;
  for (const part of parts) {
    view.setInt32(at, part.length, true);
    chunk.set(part, at + 4);
    at += 4 + part.length;
  }
  const payload = chunk.subarray(CHUNK_HEADER);
  view.setInt32(0, payload.length, true);
  view.setInt32(4, crc32(payload), true);
  return chunk;
}

/** How long the chunk behind this header is; throws `SnapshotError`. */
export function chunkLength(header: Uint8Array): number {
  const length = wordAt(header, 0);
  if (length < 0 || length > MAX_CHUNK) throw new SnapshotError("it is damaged");
  return length;
}

/** How the times of a file's entries become those of a store. */
export interface Restoring {
  /** In ticks, what to add. */
  readonly shift: number;
  /** The latest time, in ticks, at which an entry may expire, and the earliest at which it is worth having. */
  readonly latest: number;
  readonly earliest: number;
  /** The longest TTL that an entry may have had, in seconds. */
  readonly maxTtl: number;
}

/** Puts the entries of a chunk into the store; throws `SnapshotError`, before any of them or at the one that is damaged. */
export function restoreChunk(
  store: Store,
  header: Uint8Array,
  payload: Uint8Array,
  { shift, latest, earliest, maxTtl }: Restoring,
): void {
  if (wordAt(header, 4) !== (crc32(payload) | 0)) throw new SnapshotError("it is damaged");
  for (let at = 0; at < payload.length;) {
    const octets = payload.subarray(at + 4, at + 4 + wordAt(payload, at));
    shorten(octets, maxTtl);
    const expiresAt = Math.min(wordAt(octets, 4 * EntryWord.EXPIRES_AT) + shift, latest);
    if (expiresAt >= earliest && (!isWhole(octets) || !store.restore(octets, shift, latest))) {
      throw new SnapshotError("it is damaged");
    }
    at += 4 + octets.length;
  }
}

/** Makes of an entry what it would be, had it come under this limit; throws `SnapshotError`. */
function shorten(octets: Uint8Array, maxTtl: number): void {
  const storedAt = wordAt(octets, 4 * EntryWord.STORED_AT);
  const lifetime = maxTtl * TICKS_PER_SECOND;
  if (wordAt(octets, 4 * EntryWord.EXPIRES_AT) - storedAt <= lifetime) return;
  if (octets.length < ENTRY_HEADER) throw new SnapshotError("it is damaged");
  const header = new Int32Array(octets.slice(0, ENTRY_HEADER).buffer);
  if (!isSound(header, octets)) throw new SnapshotError("it is damaged");
  const times = Int32Array.of(storedAt + lifetime, storedAt + lifetime - Math.ceil(lifetime / 10));
  octets.set(octetsOf(times), 4 * EntryWord.EXPIRES_AT); // and REFRESH_AT, which is behind it
  const count = header[EntryWord.MORE_COUNTS]! & 0xffff;
  const records = ENTRY_HEADER + 2 * count + (header[EntryWord.LENGTHS]! >>> 16 & 0xff);
  for (let i = 0; i < count; i++) {
    const at = records + readUint16(octets, ENTRY_HEADER + 2 * i);
    writeTtl(octets, at, Math.min(readTtl(octets, at), maxTtl));
  }
}

/** For one entry at a time. Its limits keep each TTL as it is. */
const appraisal = new Cacheability({ minTtl: 0, maxTtl: 0xffff_ffff });

/**
 * Whether an entry of a file is what a response could have left there: its name and records are well-formed, pointers lead
 * to names, TTLs stand where the entry expects them, and a cut is one. A checksum proves nothing of that.
 */
function isWhole(octets: Uint8Array): boolean {
  if (octets.length < ENTRY_HEADER) return false;
  const words = new Int32Array(octets.slice(0, ENTRY_HEADER).buffer);
  if (!isSound(words, octets)) return false;
  const flags = words[EntryWord.FLAGS]!;
  try {
    const response = messageOf(words, octets);
    appraisal.assess(response, wantsProofs(flags >> TAG_SHIFT & TAG_MASK));
    if (response.recordsEnd !== response.bytes.length || response.edns) return false;
    if ((flags & NXDOMAIN_CUT) !== 0 && !appraisal.isNxdomainCut) return false;
    if ((flags & ROTATES) !== 0 && !appraisal.rotates) return false;
    if ((flags & BOTH) !== 0 && !appraisal.isForBoth) return false;
    const count = words[EntryWord.MORE_COUNTS]! & 0xffff;
    const lengths = words[EntryWord.LENGTHS]!;
    const end = entryLength(count, lengths);
    if (!areExtendedErrors(octets.subarray(end - (lengths >>> 24), end))) return false;
    if (!response.pointersLeadToNames || appraisal.count !== count) return false;
    for (let i = 0; i < count; i++) {
      if (readUint16(octets, ENTRY_HEADER + 2 * i) !== appraisal.offsets[i]) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
}

/** The response that an entry was made of, but for its OPT record. A denial is one whatever the type. */
function messageOf(words: Int32Array, octets: Uint8Array): Message {
  const lengths = words[EntryWord.LENGTHS]!;
  const [nameLength, recordsLength] = [lengths >>> 16 & 0xff, lengths & 0xffff];
  const name = ENTRY_HEADER + 2 * (words[EntryWord.MORE_COUNTS]! & 0xffff);
  const records = name + nameLength;
  const bytes = new Uint8Array(HEADER_BYTES + nameLength + 4 + recordsLength);
  writeUint16(bytes, 2, words[EntryWord.FLAGS]!);
  writeUint16(bytes, 4, 1);
  writeUint16(bytes, 6, words[EntryWord.COUNTS]! >>> 16);
  writeUint16(bytes, 8, words[EntryWord.COUNTS]!);
  writeUint16(bytes, 10, words[EntryWord.MORE_COUNTS]! >>> 16);
  bytes.set(octets.subarray(name, records), HEADER_BYTES);
  const type = words[EntryWord.TYPE_AND_CLASS]! >>> 16;
  writeUint16(bytes, HEADER_BYTES + nameLength, type === 0 ? Type.A : type);
  writeUint16(bytes, HEADER_BYTES + nameLength + 2, words[EntryWord.TYPE_AND_CLASS]!);
  bytes.set(octets.subarray(records, records + recordsLength), HEADER_BYTES + nameLength + 4);
  return Message.parse(bytes);
}

function wordAt(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new SnapshotError("it is damaged");
  return bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
}

function octetsOf(array: Int32Array | Float64Array): Uint8Array {
  return new Uint8Array(array.buffer);
}
