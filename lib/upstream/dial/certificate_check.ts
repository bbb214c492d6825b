/**
 * Whether a server has proved who it is, and if not, why, in words for the operator. The platform decides whether the
 * chain leads to a trusted root; names, pins and the key usage of issuers are held against the certificates' own DER.
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

/** What a server has to prove. */
export interface CertificateRules {
  /** An IP address or a host name in ASCII, which the certificate must name. */
  readonly authName: string;
  /** Base64 of SHA-256 over keys: one of the chain must be among them (RFC 7858 §4.2); none: any will do. */
  readonly pins: readonly string[];
  /** Whether the name is asked for beside a pin: "the client SHOULD … require both" (RFC 8310 §6.4). */
  readonly hasAuthName: boolean;
  /** Trusted roots, which a server need not send (RFC 8446 §4.4.2). */
  readonly roots: () => readonly X509Certificate[];
}

/** What it has shown: the certificate with those sent after it, and the platform's code for what is wrong with them. */
export interface PresentedCertificate {
  readonly certificate: PeerChain;
  /** Undefined if the chain leads to a trusted root, whatever it names. */
  readonly error: string | undefined;
}

/** A certificate and the one sent after it, which need not be its issuer's. */
interface PeerChain extends PeerCertificate {
  readonly issuerCertificate?: PeerChain;
}

/** More certificates than any real chain has, of which each may cost a signature's verification. */
const MAX_SENT = 10;
/** Names of a certificate, and keys of a chain, that a message lists. */
const MAX_LISTED = 4;
/**
 * What is wrong with a proof; undefined if nothing is.
 *
 * A pin where nobody wrote a name is RFC 7858's key-pinned profile: a server whose own key is pinned needs no name and
 * no trusted root. The pin of an issuer cannot stand alone like that, for it fits whatever else that issuer has signed:
 * then the certificate must be valid for the host as if there were no pin.
 */
export function findProblem(
  proof: PresentedCertificate,
  requirements: CertificateRules,
): CertificateProblem | undefined {
  const { pins, hasAuthName: isNamed, roots } = requirements;
  try {
    const [leaf, ...others] = certificatesOf(proof.certificate);
    if (!leaf) return { failure: "bad certificate", detail: "it has shown none" };
    if (pins.length === 0) return findChainFlaw(leaf, others, proof.error, requirements);
    if (!isNamed && pins.includes(pinOf(leaf))) return findDateProblem([leaf]);
    const chainFlaw = () => findChainFlaw(leaf, others, proof.error, requirements);
    const mismatch = () =>
      findPinMismatch(leaf, others, pins) && findPinMismatch(leaf, [...others, ...roots()], pins);
    // Without a name the pin is all that was asked for, so that its absence is the news.
    return isNamed ? chainFlaw() ?? mismatch() : mismatch() ?? chainFlaw();
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
  // As they are written behind pin=, the server's own first: to be compared with its operator's, then pasted.
  return { failure: "pin mismatch", detail: `its keys are ${shown.join(", ")}` };
}

function findChainFlaw(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  error: string | undefined,
  { authName, roots }: CertificateRules,
): CertificateProblem | undefined {
  if (error !== undefined) return explainRejection(leaf, others, roots(), error);
  const fields = readCertificate(leaf.raw);
  if (!namesHost(fields, authName)) return { failure: "wrong name", detail: namesInWords(fields) };
  return findIssuerFlaw(leaf, others, roots);
}

/** RFC 5280 §6.1.4 (n): an issuer's key usage, if there is one, "verify that the keyCertSign bit is set". */
function findIssuerFlaw(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: () => readonly X509Certificate[],
): CertificateProblem | undefined {
  // The platform does not look; that all issuers may issue is what every handshake but a forger's shows.
  const suspect = others.find((each) => !readCertificate(each.raw).mayIssue);
  if (!suspect) return undefined;
  const trusted = new Set(roots());
  if (provenChain(leaf, [...others, ...trusted]).some((each) => trusted.has(each))) return undefined;
  return { failure: "bad certificate", detail: mayNotIssue(suspect) };
}

function certificatesOf(leaf: PeerChain): X509Certificate[] {
  const certificates: X509Certificate[] = [];
  let each: PeerChain | undefined = leaf;
  while (each?.raw && certificates.length < MAX_SENT) {
    certificates.push(new X509Certificate(each.raw));
    if (each.issuerCertificate === each) break; // a root is its own issuer
    each = each.issuerCertificate;
  }
  return certificates;
}

/** The first names of a certificate; one that is not written like a host name stands in quotes. */
function namesInWords({ dnsNames, ipAddresses }: CertificateFields): string {
  const names = [
    ...dnsNames.map((name) => `DNS:${/^[\w.*-]+$/.test(name) ? name : JSON.stringify(name)}`),
    ...ipAddresses.map((octets) => `IP Address:${addressText(octets)}`),
  ];
  if (names.length === 0) return "it names nobody";
  const rest = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : "";
  return `it is for ${names.slice(0, MAX_LISTED).join(", ")}${rest}`;
}

function addressText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  return octets.toHex().replace(/.{4}(?!$)/g, "$&:").replace(/\b0{1,3}(?=[0-9a-f])/g, "");
}
