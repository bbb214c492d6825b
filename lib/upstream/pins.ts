/** Pins of keys: the base64 of SHA-256 over a SubjectPublicKeyInfo (RFC 7858 §4.2), and the certificates they apply to. */

import { createHash, type X509Certificate } from "node:crypto";
import { readCertificate } from "./dial/certificate.ts";

const SHA256_BYTES = 32;

/** The base64 of a pin written `sha256/BASE64`. Throws a `TypeError` that names the text, the reason and the remedy. */
export function parsePin(text: string): string {
  const [, encoded = ""] = /^sha256\/([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  try {
    const hash = Uint8Array.fromBase64(encoded, { lastChunkHandling: "strict" });
    if (hash.length === SHA256_BYTES) return encoded;
  } catch { /* not base64: the error below */ }
  throw new TypeError(`"${text}" is not a pin; write sha256/ and the base64 of 32 bytes (RFC 7858 §4.2)`);
}

/** The pin of a certificate's key, as `parsePin` returns it. */
export function pinOf({ publicKey }: X509Certificate): string {
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

/**
 * The leaf and its issuers among the other certificates: those that signed it, directly or through each other, and are
 * allowed to. A server can send any certificate without its private key, so an unrelated one proves nothing.
 */
export function provenChain(leaf: X509Certificate, others: readonly X509Certificate[]): X509Certificate[] {
  const proven = [leaf];
  const candidates = new Set(others);
  for (const below of proven) { // grows during the loop
    for (const each of candidates) {
      if (!hasIssued(each, below)) continue;
      candidates.delete(each);
      proven.push(each);
    }
  }
  return proven;
}

/**
 * RFC 5280 §6.1.4 (k), (n): an issuer must be marked as an authority, and its key usage must allow it to sign
 * certificates. Otherwise any server could sign certificates with its own key.
 */
function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return issuer.ca && readCertificate(issuer.raw).mayIssue && hasSigned(issuer, subject);
  } catch {
    return false; // the DER is no certificate
  }
}

/** Whether the issuer's name and key match, whether or not it is an authority. */
export function hasSigned(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    return false; // a key type that cannot have made this signature
  }
}
