import { createPrivateKey, X509Certificate } from "node:crypto";
import { UsageError } from "../errors.ts";
import { readInputFile } from "../input_file.ts";
import type { UpstreamAddress } from "./address.ts";

/** PEM: what we show to a server that asks for it (RFC 8446 §4.4.2), our own certificate first. */
export interface ClientCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Reads the files of an upstream that has some. Throws `UsageError`: at start, since the platform takes anything for a
 * certificate and then shows none.
 */
export function readClientCertificate(
  { clientCertificate, label }: UpstreamAddress,
): ClientCertificate | undefined {
  if (!clientCertificate) return undefined;
  const cert = readInputFile(label, clientCertificate.certificate);
  const key = readInputFile(label, clientCertificate.key);
  const certificate = parse(() => new X509Certificate(cert), "certificate", clientCertificate.certificate);
  const privateKey = parse(
    () => createPrivateKey(key),
    "private key without a passphrase",
    clientCertificate.key,
  );
  if (!certificate.checkPrivateKey(privateKey)) {
    const { certificate, key } = clientCertificate;
    throw new UsageError(`${label}: the key in "${key}" is not that of the certificate in "${certificate}"`);
  }
  return { cert, key };
}

function parse<T>(read: () => T, what: string, file: string): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError(`"${file}" holds no PEM ${what}: ${(cause as Error).message}`, { cause });
  }
}
