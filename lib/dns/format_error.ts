/** Bytes that are no DNS message (RFC 1035 §4.1). */
export class FormatError extends Error {
  override readonly name = "FormatError";
}
