/** Pins of keys: the base64 of SHA-256 over a SubjectPublicKeyInfo (RFC 7858 §4.2). */
import { createHash, type X509Certificate } from "node:crypto";
import { readCertificate } from "./dial/certificate.ts";

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

export function pinOf({ publicKey }: X509Certificate): string {
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

/**
 * The leaf and whichever of the others have signed it, directly or through each other, and may do so. A certificate that
 * a server merely appends is none of them: to send it proves nothing, for it takes no private key.
 */
export function provenChain(leaf: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const proven = [leaf];
  const left = new Set(others);
  for (const below of proven) { // grows meanwhile
    for (const each of left) {
      if (!hasIssued(each, below)) continue;
      left.delete(each);
      proven.push(each);
    }
  }
  return proven;
}

/**
 * RFC 5280 §6.1.4 (k), (n): only what is marked as an authority, and whose key usage allows it, may issue; any server's
 * own key could sign, too.
 */
function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return issuer.ca && readCertificate(issuer.raw).mayIssue && hasSigned(issuer, subject);
  } catch {
    return false; // DER that is no certificate
  }
}

/** Whether the issuer's name and key fit, be it an authority or not. */
export function hasSigned(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    return false; // a kind of key that cannot have signed this
  }
}
