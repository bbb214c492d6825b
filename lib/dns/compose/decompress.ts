/** Records and names without compression, so that they can be copied into another message. */

import { joinBytes, writeUint16 } from "../bytes.ts";
import { COMPRESSIBLE } from "../message_names.ts";
import { FormatError } from "../format_error.ts";
import { POINTER, pointerTarget, skipName } from "../name.ts";
import { FIXED_BYTES, type RecordCursor } from "../records.ts";

/** A copy of the cursor's record, with uncompressed names. Throws `FormatError` if the data is malformed. */
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
  writeUint16(record, owner + 8, record.length - owner - FIXED_BYTES);
  return record;
}

/** A copy of a name, uncompressed. Precondition: the name was skipped. */
export function decompressName(bytes: Uint8Array, offset: number): Uint8Array {
  const labels: Uint8Array[] = [];
  for (let at = offset;;) {
    const length = bytes[at]!;
    if (length >= POINTER) {
      at = pointerTarget(bytes, at);
      continue;
    }
    labels.push(bytes.subarray(at, at + length + 1));
    if (length === 0) return joinBytes(labels);
    at += length + 1;
  }
}
