import { X509Certificate } from "node:crypto";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import type { ClientCertificate } from "../address.ts";
import { splitCertificates } from "./pem.ts";

/** The certificates in PEM text. */
function parsePem(text: string): X509Certificate[] {
  return splitCertificates(text).map((block) => new X509Certificate(block));
}

let publicRoots: readonly X509Certificate[] | undefined;

/** Those given, and the public ones that the platform carries, which are read when first asked for. */
export function trustedRoots(caCerts: readonly string[]): readonly X509Certificate[] {
  publicRoots ??= rootCertificates.flatMap(parsePem);
  return [...caCerts.flatMap(parsePem), ...publicRoots];
}

/**
 * The contexts to shake hands with, one after the other until one trusts the server: the platform takes either its own
 * roots or those it is given, and to give it all of them costs 5 ms for each handshake.
 */
export function secureContexts(
  caCerts: readonly string[],
  clientCertificate: ClientCertificate | undefined,
): SecureContext[] {
  // RFC 8310 §9: TLS 1.2 or later. Compression (same section) is not in rustls at all.
  const common = { minVersion: "TLSv1.2" as const, ...clientCertificate };
  const publicOnly = createSecureContext(common);
  return caCerts.length > 0
    ? [createSecureContext({ ...common, ca: [...caCerts] }), publicOnly]
    : [publicOnly];
}
