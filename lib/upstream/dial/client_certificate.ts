/** Reads the client certificate of an upstream. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { UsageError } from "../../core/errors.ts";
import { type ReadFile, readTextFile } from "../../platform/read_file.ts";
import type { ClientCertificate, UpstreamAddress } from "../address.ts";
import { splitCertificates } from "./pem.ts";

/** The key without other text, because the platform's parser accepts no other block and no empty line after it. */
const PRIVATE_KEY = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?-----END \1-----/;

/**
 * The certificate and key of an upstream, from its files unless the address has the text; undefined without either. Throws
 * `UsageError` for files that cannot be used, because the platform would accept them and then present no certificate.
 */
export function readClientCertificate(
  { clientCertificate, label }: UpstreamAddress,
  read: ReadFile = readTextFile,
): ClientCertificate | undefined {
  if (!clientCertificate || clientCertificate.pem) return clientCertificate?.pem;
  const cert = read(label, clientCertificate.certificate);
  const text = read(label, clientCertificate.key);
  const key = PRIVATE_KEY.exec(text)?.[0] ?? text;
  const [certificate] = parse(() => parseCertificates(cert), "certificate", clientCertificate.certificate);
  const privateKey = parse(
    () => createPrivateKey(key),
    "private key without a passphrase",
    clientCertificate.key,
  );
  if (!certificate!.checkPrivateKey(privateKey)) {
    const { certificate, key } = clientCertificate;
    throw new UsageError(`${label}: the key in "${key}" is not that of the certificate in "${certificate}"`);
  }
  return { cert, key };
}

/** Parses each certificate: a damaged one would keep the platform from presenting any. */
function parseCertificates(text: string): X509Certificate[] {
  return splitCertificates(text).map((each) => new X509Certificate(each));
}

function parse<T>(read: () => T, what: string, file: string): T {
  try {
    return read();
  } catch (cause) {
    throw new UsageError(`"${file}" holds no PEM ${what}: ${(cause as Error).message}`, { cause });
  }
}
