/** Words for the fatal alerts that a server sends (RFC 8446 §6): the reason and the remedy. */

import type { Failure } from "../../core/errors.ts";

/** A refusal of our handshake or of our certificate. */
export interface AlertWords {
  readonly failure: Failure;
  readonly detail: string;
}

const CLIENT_CERTIFICATE = "it wants a client certificate: give it with cert= and key=";
const NOT_OURS = "it does not accept our client certificate: check cert= and key=";

/** By the platform's name of the alert. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ["ProtocolVersion", "it takes neither TLS 1.2 nor 1.3"],
  [
    "HandshakeFailure",
    "no cipher suite or kind of key in common, such as its RSA-PSS key, or a client certificate is wanted",
  ],
  ["InsufficientSecurity", "our cipher suites are not strong enough for it"],
  ["UnrecognisedName", "it does not know the name that we ask for: correct #AUTHNAME"],
  ["NoApplicationProtocol", 'it does not take the protocol "dot"'],
  ["CertificateRequired", CLIENT_CERTIFICATE],
  ["BadCertificate", NOT_OURS],
  ["UnsupportedCertificate", NOT_OURS],
  ["CertificateRevoked", NOT_OURS],
  ["CertificateExpired", NOT_OURS],
  ["CertificateUnknown", NOT_OURS],
  ["UnknownCA", NOT_OURS],
  ["AccessDenied", NOT_OURS],
]);

/** The failure for an alert of the server; undefined for other errors. */
export function explainAlert(error: unknown): AlertWords | undefined {
  const alert = alertOf(error);
  if (alert === undefined) return undefined;
  const words = WORDS.get(alert);
  return { failure: "handshake refused", detail: words ? `${words}; alert ${alert}` : `alert ${alert}` };
}

/** Whether the server accepts none of the offered ALPN protocols (RFC 7301 §3.2). */
export function refusesProtocol(error: unknown): boolean {
  return alertOf(error) === "NoApplicationProtocol";
}

function alertOf(error: unknown): string | undefined {
  return error instanceof Error ? /^received fatal alert: (\w+)/.exec(error.message)?.[1] : undefined;
}
