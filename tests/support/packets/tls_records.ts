/** One record of the TLS record layer. */
export interface TlsRecord {
  /** 20 change_cipher_spec, 21 alert, 22 handshake, 23 application data (RFC 8446 §5.1, B.1). */
  readonly type: number;
  readonly length: number;
}

/** Takes recorded octets for TLS records, and throws if they are anything else. The last record may be unfinished. */
export function tlsRecords(bytes: Uint8Array): TlsRecord[] {
  const records: TlsRecord[] = [];
  let at = 0;
  while (at + 5 <= bytes.length) {
    const [type, major, minor, high, low] = bytes.subarray(at, at + 5);
    const length = high! << 8 | low!;
    const known = type! >= 20 && type! <= 23 && major === 3 && minor! <= 3;
    // RFC 8446 §5.2: "The length MUST NOT exceed 2^14 + 256 bytes"; TLS 1.2 allowed 2^14 + 2048 (RFC 5246 §6.2.3).
    if (!known || length > 2 ** 14 + 2048) throw new RangeError(`Octet ${at} does not begin a TLS record`);
    records.push({ type: type!, length });
    at += 5 + length;
  }
  return records;
}
