/** Pins of server keys: the base64 of SHA-256 over a SubjectPublicKeyInfo (RFC 7858 §4.2). */

const OCTETS = 32;

/** The base64 of a pin written `sha256/BASE64`. Throws a `TypeError` that names the text, the reason and the remedy. */
export function parsePin(text: string): string {
  const [, encoded = ""] = /^sha256\/([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  try {
    const octets = Uint8Array.fromBase64(encoded, { lastChunkHandling: "strict" });
    if (octets.length === OCTETS) return encoded;
  } catch { /* not base64: as any other text that is no pin */ }
  throw new TypeError(`"${text}" is not a pin; write sha256/ and the base64 of 32 octets (RFC 7858 §4.2)`);
}
