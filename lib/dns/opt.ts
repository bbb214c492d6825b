import { Type } from "./codes.ts";
import { DNSSEC_OK } from "./edns.ts";
import { FormatError } from "./format_error.ts";
import { HEADER } from "./message.ts";
import { skipLabels } from "./name.ts";
import { readUint16, RecordCursor, writeUint16 } from "./records.ts";

/** OPT without options: root, TYPE, CLASS, TTL, RDLENGTH. In octets. */
export const OPT_FIXED = 11;

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
  const length = options.reduce((sum, option) => sum + option.length, 0);
  const record = new Uint8Array(OPT_FIXED + length);
  writeOpt(record, 0, 512, false);
  record[5] = rcode >> 4;
  writeUint16(record, 9, length);
  let at = OPT_FIXED;
  for (const option of options) {
    record.set(option, at);
    at += option.length;
  }
  return record;
}

/**
 * The TYPE offset of the first OPT record in a message that `Message.parse` refuses or that asks for another opcode;
 * undefined where the records cannot be followed as far as that.
 */
export function findOpt(bytes: Uint8Array): number | undefined {
  try {
    let at = HEADER;
    for (let left = readUint16(bytes, 4); left > 0; left--) at = skipLabels(bytes, at) + 4;
    const cursor = new RecordCursor(bytes, at);
    while (cursor.next()) {
      if (cursor.type === Type.OPT && cursor.section === "additional") return cursor.fixed;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  return undefined;
}
