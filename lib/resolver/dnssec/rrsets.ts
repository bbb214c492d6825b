/** The RRsets of a message with the signatures over each, in the form that validation needs. Off the hot path: one object per record. */
import { Class, Type } from "../../dns/codes.ts";
import { FormatError } from "../../dns/format_error.ts";
import type { Message } from "../../dns/message.ts";
import { POINTER, pointerTarget } from "../../dns/name.ts";
import { RecordCursor } from "../../dns/records.ts";
import { readTtl } from "../../dns/records.ts";
import { canonicalData, type CanonicalName, canonicalName, compareBytes } from "./canonical.ts";
import { LIMITS } from "./limits.ts";
import { parseSignature, type Signature } from "./signature.ts";

/** Records of one owner, type and class. */
export interface RecordSet {
  readonly owner: CanonicalName;
  readonly type: number;
  readonly class: number;
  readonly section: "answer" | "authority";
  /** Canonical data of each record, sorted, without duplicates. */
  data: Uint8Array[];
  /** The smallest TTL, in seconds. */
  ttl: number;
  readonly signatures: Signature[];
  /** Positions of the records and of their signatures in the message, from 0. */
  readonly positions: number[];
}

/**
 * The RRsets of class IN of the answer and the authority section, in the message's order; RRSIG records are part of the set
 * that they cover. Throws `FormatError`.
 */
export function recordSetsOf(message: Message): RecordSet[] {
  const sets = new Map<string, RecordSet>();
  const signatures: { readonly key: string; readonly position: number; readonly signature: Signature }[] = [];
  const { bytes } = message;
  const owners = new Map<number, CanonicalName>();
  let total = 0;
  const cursor = new RecordCursor(bytes, message.questionEnd);
  for (let position = 0; cursor.next(); position++) {
    const { section, type } = cursor;
    if (section === "additional") break;
    if (position === LIMITS.records) throw new FormatError("too many records to validate");
    if (cursor.class !== Class.IN) continue;
    const nameAt = bytes[cursor.start]! >= POINTER ? pointerTarget(bytes, cursor.start) : cursor.start;
    let owner = owners.get(nameAt);
    if (owner === undefined) {
      owners.set(nameAt, owner = canonicalName(bytes, nameAt));
      total += owner.length;
    }
    const data = canonicalData(bytes, type, cursor.data, cursor.end);
    total += data.length;
    if (total > LIMITS.dataBytes) throw new FormatError("too much data to validate");
    if (type === Type.RRSIG) {
      const signature = parseSignature(data);
      if (signature) {
        signatures.push({ key: keyOf(section, owner, signature.typeCovered), position, signature });
      }
      continue;
    }
    const ttl = readTtl(bytes, cursor.fixed + 4);
    const key = keyOf(section, owner, type);
    const set = sets.get(key);
    if (set) {
      set.data.push(data);
      set.ttl = Math.min(set.ttl, ttl);
      set.positions.push(position);
    } else {
      const positions = [position];
      sets.set(key, { owner, type, class: Class.IN, section, data: [data], ttl, signatures: [], positions });
    }
  }
  for (const { key, position, signature } of signatures) {
    const set = sets.get(key);
    set?.positions.push(position);
    set?.signatures.push(signature);
  }
  for (const set of sets.values()) set.data = sorted(set.data);
  return [...sets.values()];
}

function keyOf(section: string, owner: CanonicalName, type: number): string {
  return `${section}/${type}/${owner}`;
}

/** RFC 4034 §6.3: in the order of the data, and without duplicates. */
function sorted(data: Uint8Array[]): Uint8Array[] {
  return data.sort(compareBytes).filter((each, i) => i === 0 || compareBytes(each, data[i - 1]!) !== 0);
}
