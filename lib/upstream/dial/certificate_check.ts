/**
 * Checks the certificates of a server. The platform decides whether the chain leads to a trusted root. Names, pins and the
 * key usage of issuers are checked here, in the certificates' DER.
 */

import { X509Certificate } from "node:crypto";
import type { PeerCertificate } from "node:tls";
import { type CertificateFields, namesHost, readCertificate } from "./certificate.ts";
import {
  type CertificateProblem,
  explainRejection,
  findDateProblem,
  mayNotIssue,
} from "./certificate_problems.ts";
import { pinOf, provenChain } from "../pins.ts";

/** The rules for the certificates of one upstream. */
export interface CertificateRules {
  /** IP address or ASCII host name that the certificate must name. */
  readonly authName: string;
  /** Base64 of SHA-256 over keys, one of which must be in the chain (RFC 7858 §4.2). Without pins any key is accepted. */
  readonly pins: readonly string[];
  /** Whether the name is required beside a pin: "the client SHOULD … require both" (RFC 8310 §6.4). */
  readonly hasAuthName: boolean;
  /** Trusted roots. Servers may leave them out of the chain (RFC 8446 §4.4.2). */
  readonly roots: () => readonly X509Certificate[];
}

/** The certificates that a server presented, and the platform's verdict. */
export interface PresentedCertificate {
  readonly certificate: PeerChain;
  /** The platform's error code; undefined if the chain leads to a trusted root. Names are not part of it. */
  readonly error: string | undefined;
}

/** A certificate and the next one that the server sent, which need not be of its issuer. */
interface PeerChain extends PeerCertificate {
  readonly issuerCertificate?: PeerChain;
}

/** Maximum number of certificates to read. Each may cost the verification of a signature, and real chains are shorter. */
const MAX_CERTIFICATES = 10;
/** Maximum number of names or keys in a message. */
const MAX_LISTED = 4;

/**
 * The first problem with the presented certificates; undefined if they are acceptable.
 *
 * A pin without a name is RFC 7858's key-pinned profile: a server whose own key is pinned needs neither a name nor a trusted
 * root. The pin of an issuer matches all certificates of that issuer, so the certificate must also be valid for the host.
 */
export function findProblem(
  presented: PresentedCertificate,
  rules: CertificateRules,
): CertificateProblem | undefined {
  const { pins, hasAuthName: isNamed, roots } = rules;
  try {
    const [leaf, ...others] = certificatesOf(presented.certificate);
    if (!leaf) return { failure: "bad certificate", detail: "it presented none" };
    if (pins.length === 0) return findChainProblem(leaf, others, presented.error, rules);
    if (!isNamed && pins.includes(pinOf(leaf))) return findDateProblem([leaf]);
    const chainProblem = () => findChainProblem(leaf, others, presented.error, rules);
    const mismatch = () =>
      findPinMismatch(leaf, others, pins) && findPinMismatch(leaf, [...others, ...roots()], pins);
    // Without a name, the pin is the operator's only requirement, so a mismatch is reported first.
    return isNamed ? chainProblem() ?? mismatch() : mismatch() ?? chainProblem();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error; // the public roots could not be read
    return { failure: "bad certificate", detail: `it cannot be read: ${(error as Error).message}` };
  }
}

function findPinMismatch(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  pins: readonly string[],
): CertificateProblem | undefined {
  const keys = new Set(provenChain(leaf, others).map(pinOf));
  if (pins.some((pin) => keys.has(pin))) return undefined;
  const shown = [...keys].slice(0, MAX_LISTED).map((key) => `sha256/${key}`);
  // In the form of pin=, the server's own key first. An operator can compare them and paste one.
  return { failure: "pin mismatch", detail: `its keys are ${shown.join(", ")}` };
}

function findChainProblem(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  error: string | undefined,
  { authName, roots }: CertificateRules,
): CertificateProblem | undefined {
  if (error !== undefined) return explainRejection(leaf, others, roots(), error);
  const fields = readCertificate(leaf.raw);
  if (!namesHost(fields, authName)) return { failure: "wrong name", detail: namesInWords(fields) };
  return findIssuerProblem(leaf, others, roots);
}

/** RFC 5280 §6.1.4 (n): an issuer's key usage, if there is one, "verify that the keyCertSign bit is set". */
function findIssuerProblem(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: () => readonly X509Certificate[],
): CertificateProblem | undefined {
  // The platform does not check this bit. Honest chains pass, so the signatures are verified only if one fails.
  const suspect = others.find((each) => !readCertificate(each.raw).mayIssue);
  if (!suspect) return undefined;
  const trusted = new Set(roots());
  if (provenChain(leaf, [...others, ...trusted]).some((each) => trusted.has(each))) return undefined;
  return { failure: "bad certificate", detail: mayNotIssue(suspect) };
}

function certificatesOf(leaf: PeerChain): X509Certificate[] {
  const certificates: X509Certificate[] = [];
  let each: PeerChain | undefined = leaf;
  while (each?.raw && certificates.length < MAX_CERTIFICATES) {
    certificates.push(new X509Certificate(each.raw));
    if (each.issuerCertificate === each) break; // a root is its own issuer
    each = each.issuerCertificate;
  }
  return certificates;
}

/** The first names of a certificate. A name with unusual characters is quoted. */
function namesInWords({ dnsNames, ipAddresses }: CertificateFields): string {
  const names = [
    ...dnsNames.map((name) => `DNS:${/^[\w.*-]+$/.test(name) ? name : JSON.stringify(name)}`),
    ...ipAddresses.map((bytes) => `IP Address:${addressText(bytes)}`),
  ];
  if (names.length === 0) return "it names no host";
  const rest = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  return `it is for ${names.slice(0, MAX_LISTED).join(", ")}${rest}`;
}

function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  return bytes.toHex().replace(/.{4}(?!$)/g, "$&:").replace(/\b0{1,3}(?=[0-9a-f])/g, "");
}
