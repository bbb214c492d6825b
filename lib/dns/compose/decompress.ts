import { joinBytes, writeUint16 } from "../bytes.ts";
import { COMPRESSIBLE } from "../message_names.ts";
import { FormatError } from "../format_error.ts";
import { skipName } from "../name.ts";
import type { RecordCursor } from "../records.ts";

/** The record that the cursor is on by itself, its names spelled out: it can go into any message. Throws `FormatError`. */
export function decompressRecord(bytes: Uint8Array, cursor: RecordCursor): Uint8Array {
  const { start, fixed, data, end, type } = cursor;
  const { before, names } = COMPRESSIBLE.get(type) ?? { before: end - data, names: 0 };
  let at = data + before;
  if (at > end) throw new FormatError("a record's data is too short for its type");
  const parts = [decompressName(bytes, start), bytes.subarray(fixed, at)];
  for (let i = 0; i < names; i++) {
    const next = skipName(bytes, at);
    parts.push(decompressName(bytes, at));
    at = next;
  }
  if (at > end) throw new FormatError("a name runs past the end of its record");
  parts.push(bytes.subarray(at, end));
  const record = joinBytes(parts);
  const owner = parts[0]!.length;
  writeUint16(record, owner + 8, record.length - owner - 10);
  return record;
}

/** A name skipped before, without compression. */
export function decompressName(bytes: Uint8Array, offset: number): Uint8Array {
  const labels: Uint8Array[] = [];
  for (let at = offset;;) {
    const length = bytes[at]!;
    if (length >= 0xc0) {
      at = (length & 0x3f) << 8 | bytes[at + 1]!;
      continue;
    }
    labels.push(bytes.subarray(at, at + length + 1));
    if (length === 0) return joinBytes(labels);
    at += length + 1;
  }
}
