/** The error of all readers in `dns/`. */

/** Thrown for bytes that are not a DNS message (RFC 1035 §4.1). */
export class FormatError extends Error {
  override readonly name = "FormatError";
}
