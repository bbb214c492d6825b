import { X509Certificate } from "node:crypto";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Failure } from "../errors.ts";
import { pinOf, provenChain } from "./pins.ts";

/** What a server has to prove. */
export interface Requirements {
  /** Base64 of SHA-256 over keys: one of the chain must be among them (RFC 7858 §4.2); none: any will do. */
  readonly pins: readonly string[];
  /** Whether the name is asked for beside a pin: "the client SHOULD … require both" (RFC 8310 §6.4). */
  readonly isNamed: boolean;
  /** Trusted roots, which a server need not send (RFC 8446 §4.4.2). */
  readonly roots: () => readonly X509Certificate[];
}

/** What it has shown: the certificate with whatever followed it, and the platform's word for what is wrong with it. */
export interface Proof {
  readonly certificate: PeerChain;
  /** Undefined if the chain leads to a trusted root and names the server. */
  readonly error: string | undefined;
}

/** A certificate and the one sent after it, which need not be its issuer's. */
interface PeerChain extends PeerCertificate {
  readonly issuerCertificate?: PeerChain;
}

/** What is wrong with a proof. */
export interface Flaw {
  readonly failure: Failure;
  readonly detail: string;
}

/** More certificates than any real chain has, of which each may cost a signature's verification. */
const MAX_SENT = 10;

/**
 * What is wrong with a proof; undefined if nothing is.
 *
 * A pin where nobody wrote a name is RFC 7858's key-pinned profile: a server whose own key is pinned needs no name and
 * no trusted root. The pin of an issuer cannot stand alone like that, for it fits whatever else that issuer has signed:
 * then the certificate must be valid for the host as if there were no pin.
 */
export function findFlaw(proof: Proof, { pins, isNamed, roots }: Requirements): Flaw | undefined {
  if (pins.length === 0) return findChainFlaw(proof);
  const sent = certificatesOf(proof.certificate);
  const [leaf] = sent as [X509Certificate];
  if (!isNamed && pins.includes(pinOf(leaf))) return findDateFlaw([leaf]);
  const findMismatch = () =>
    findPinMismatch(leaf, sent, pins) && findPinMismatch(leaf, [...sent, ...roots()], pins);
  // Without a name the pin is all that was asked for, so that its absence is the news.
  return isNamed ? findChainFlaw(proof) ?? findMismatch() : findMismatch() ?? findChainFlaw(proof);
}

/** Matches subjectAltName only: "MUST NOT inspect the Subject field" for a name (RFC 8310 §8.1). */
export function checkName(name: string, certificate: PeerCertificate): Error | undefined {
  return checkServerIdentity(name, { ...certificate, subject: {} as PeerCertificate["subject"] });
}

function findPinMismatch(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  pins: readonly string[],
): Flaw | undefined {
  const keys = new Set(provenChain(leaf, others).map(pinOf));
  if (pins.some((pin) => keys.has(pin))) return undefined;
  return {
    failure: "pin mismatch",
    detail: `its keys are ${[...keys].map((key) => `sha256/${key}`).join(", ")}`,
  };
}

/** The platform calls most flaws of a chain by one name; the dates tell more. */
function findChainFlaw({ certificate, error }: Proof): Flaw | undefined {
  if (error === undefined) return undefined;
  if (error === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = certificate.subjectaltname;
    return { failure: "wrong name", detail: names ? `it is for ${names}` : "it names nobody" };
  }
  const [leaf, ...others] = certificatesOf(certificate) as [X509Certificate, ...X509Certificate[]];
  const dateFlaw = findDateFlaw(provenChain(leaf, others));
  if (dateFlaw) return dateFlaw;
  if (UNTRUSTED.has(error)) {
    return { failure: "untrusted issuer", detail: `issued by ${commonName(leaf.issuer)}` };
  }
  return { failure: "bad certificate", detail: error };
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
]);

function findDateFlaw(chain: readonly X509Certificate[]): Flaw | undefined {
  const now = Date.now();
  for (const { validFrom, validTo, subject } of chain) {
    const whose = `that of ${commonName(subject)}`;
    if (Date.parse(validTo) < now) return { failure: "expired", detail: `${whose}, on ${validTo}` };
    if (Date.parse(validFrom) > now) {
      return { failure: "not yet valid", detail: `${whose}, before ${validFrom}` };
    }
  }
  return undefined;
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

/** From the lines of a distinguished name. */
function commonName(name: string): string {
  return /^CN=(.*)$/m.exec(name)?.[1] ?? "unknown";
}
