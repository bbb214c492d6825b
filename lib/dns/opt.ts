import { Type } from "./codes.ts";
import { writeUint16 } from "./records.ts";

/** An OPT record for a response of our own: the upper bits of its RCODE, and options as they are, headers included. */
export function composeOptRecord(rcode: number, options: readonly Uint8Array[]): Uint8Array {
  const length = options.reduce((sum, option) => sum + option.length, 0);
  const record = new Uint8Array(11 + length);
  writeUint16(record, 1, Type.OPT);
  writeUint16(record, 3, 512);
  record[5] = rcode >> 4;
  writeUint16(record, 9, length);
  let at = 11;
  for (const option of options) {
    record.set(option, at);
    at += option.length;
  }
  return record;
}
