/**
 * How an entry of the store is laid out: ten words of header, then two octets for each TTL that say where it stands, the
 * name in lower case, the records as they stand behind the question, without OPT (RFC 6891 §6.1.1: "MUST NOT be cached"),
 * and the extended errors that came with them, as options.
 */

/** Words of the header. */
export const Word = {
  /** The arena's, but for the bit `USED` and the turn above it, which are cleared when the entry is moved. */
  SIZE: 0,
  HASH: 1,
  /** When it came, when its lifetime ends, and when it is time to ask again, in ticks. */
  STORED_AT: 2,
  EXPIRES_AT: 3,
  REFRESH_AT: 4,
  /** Low 16 bits: the response's flags with its RCODE. Above them: the tag, `BOTH`, `ROTATES`, `CUT`, and the epoch. */
  FLAGS: 5,
  /** QTYPE above QCLASS; a QTYPE of zero where the entry denies the name. */
  TYPE_AND_CLASS: 6,
  /** Records in the answer section above those in the authority section. */
  COUNTS: 7,
  /** Records in the additional section above records in all. */
  MORE_COUNTS: 8,
  /** Octets of the extended errors, eight bits, and of the name, eight bits, above octets of the records. */
  LENGTHS: 9,
} as const;

/** Octets of the header. */
export const ENTRY_HEADER = 40;

/** Was asked for since it was written. */
export const USED = 1 << 16;
/** Above it in the same word: how often the addresses have taken turns. */
export const TURN = 1 << 17;
export const TURN_SHIFT = 17;

export const TAG_SHIFT = 16;
export const TAG_MASK = 0x3f;
/** Was fetched with DO and has no signatures: it answers queries without DO as well. */
export const BOTH = 1 << 22;
/** Has a set of addresses, one behind the other, that take turns in being the first. */
export const ROTATES = 1 << 23;
/** Denies all names below. */
export const CUT = 1 << 24;

/**
 * The upper bits of `FLAGS`: in which epoch of the store it was seen that all resolvers before the cache let the entry
 * pass as it is; zero for none.
 */
export const EPOCH_SHIFT = 25;
export const MAX_EPOCH = 127;

/** Octets of an entry. */
export function entryLength(records: number, lengths: number): number {
  return ENTRY_HEADER + 2 * records + (lengths >>> 24) + (lengths >>> 16 & 0xff) + (lengths & 0xffff);
}

/** `Word.LENGTHS` of an entry. */
export function packLengths(name: number, records: number, extendedErrors: number): number {
  return extendedErrors << 24 | name << 16 | records;
}

/** Whether the words and what follows them add up, as they may not where they come from a file. */
export function isSound(words: Int32Array, bytes: Uint8Array): boolean {
  const lengths = words[Word.LENGTHS]!;
  const more = words[Word.MORE_COUNTS]!;
  const [nameLength, recordsLength, records] = [lengths >>> 16 & 0xff, lengths & 0xffff, more & 0xffff];
  if (nameLength === 0 || entryLength(records, lengths) > bytes.length) return false;
  for (let i = 0; i < records; i++) {
    const at = ENTRY_HEADER + 2 * i;
    if ((bytes[at]! << 8 | bytes[at + 1]!) + 4 > recordsLength) return false;
  }
  return true;
}
