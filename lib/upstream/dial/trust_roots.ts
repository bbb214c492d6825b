/** Trusted root certificates: those of the platform, and those of `--ca`. */

import { X509Certificate } from "node:crypto";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import type { ClientCertificate } from "../address.ts";
import { splitCertificates } from "./pem.ts";

/** The certificates in PEM text. */
function parsePem(text: string): X509Certificate[] {
  return splitCertificates(text).map((block) => new X509Certificate(block));
}

let publicRoots: readonly X509Certificate[] | undefined;

/** The given roots and the public roots of the platform. The public ones are parsed at the first call. */
export function trustedRoots(caCerts: readonly string[]): readonly X509Certificate[] {
  publicRoots ??= rootCertificates.flatMap(parsePem);
  return [...caCerts.flatMap(parsePem), ...publicRoots];
}

/**
 * The contexts for a handshake. The dialer tries one after the other until one trusts the server: the platform uses either
 * its own roots or the given ones, and passing all of them costs 5 ms per handshake.
 */
export function secureContexts(
  caCerts: readonly string[],
  clientCertificate: ClientCertificate | undefined,
): SecureContext[] {
  // RFC 8310 §9: TLS 1.2 or later. rustls does not support compression, which the same section forbids.
  const common = { minVersion: "TLSv1.2" as const, ...clientCertificate };
  const publicOnly = createSecureContext(common);
  return caCerts.length > 0
    ? [createSecureContext({ ...common, ca: [...caCerts] }), publicOnly]
    : [publicOnly];
}
