/** The header of a message (RFC 1035 §4.1.1): an ID, flags and four counts, each of 16 bits. */

/** Length of the header. */
export const HEADER_BYTES = 12;

/** Offsets of the header's fields from the start of the message. */
export const HeaderField = {
  ID: 0,
  FLAGS: 2,
  QUESTIONS: 4,
  ANSWERS: 6,
  AUTHORITY: 8,
  ADDITIONAL: 10,
} as const;

/** Bits of the flags field (RFC 1035 §4.1.1; AD and CD: RFC 4035 §3.1.6, §3.2.2). */
export const Flag = {
  QR: 0x8000,
  AA: 0x0400,
  TC: 0x0200,
  RD: 0x0100,
  RA: 0x0080,
  Z: 0x0040,
  AD: 0x0020,
  CD: 0x0010,
} as const;

/** The bits of the flags field that contain the opcode. */
export const OPCODE_MASK = 0x7800;

/** The bits of the flags field that contain the lower four bits of the RCODE. */
export const RCODE_MASK = 0xf;

export const Opcode = { QUERY: 0 } as const;

/** The opcode of a message with these flags. */
export function opcodeOf(flags: number): number {
  return (flags & OPCODE_MASK) >> 11;
}
