import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { createHash, X509Certificate } from "node:crypto";
import type { Failure } from "../errors.ts";

/** What a server has to prove. */
export interface Requirements {
  /** Whether the chain must be valid up to a trusted root and name the server; pins alone do without (RFC 8310 §6.5). */
  readonly named: boolean;
  /** SHA-256 of SubjectPublicKeyInfo in base64: one key of the chain must be among them (RFC 7858 §4.2). */
  readonly pins: readonly string[];
}

/** What it has shown: the certificate with its issuers, and the platform's word for what is wrong with the chain. */
export interface Proof {
  readonly certificate: PeerChain;
  readonly error: string | undefined;
}

/** A certificate and, as far as it is known, who issued it. */
interface PeerChain extends PeerCertificate {
  readonly issuerCertificate?: PeerChain;
}

/** What is wrong with a proof; undefined if nothing is. */
export interface Flaw {
  readonly failure: Failure;
  readonly detail: string;
}

export function findFlaw(proof: Proof, { named, pins }: Requirements): Flaw | undefined {
  const flaw = named && proof.error !== undefined ? explain(proof.certificate, proof.error) : undefined;
  return flaw ?? (pins.length > 0 ? findPinMismatch(proof.certificate, pins) : undefined);
}

/** Matches subjectAltName only: "MUST NOT inspect the Subject field" for a name (RFC 8310 §8.1). */
export function checkName(name: string, certificate: PeerCertificate): Error | undefined {
  return checkServerIdentity(name, { ...certificate, subject: {} as PeerCertificate["subject"] });
}

/** The platform calls most flaws of a chain by one name; the dates tell more. */
function explain(certificate: PeerChain, error: string): Flaw {
  const now = Date.now();
  for (const { valid_from, valid_to, subject } of chainOf(certificate)) {
    const whose = `of ${subject?.CN ?? "unknown"}`;
    if (Date.parse(valid_to) < now) return { failure: "expired", detail: `${whose}, on ${valid_to}` };
    if (Date.parse(valid_from) > now) {
      return { failure: "not yet valid", detail: `${whose}, before ${valid_from}` };
    }
  }
  if (error === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = certificate.subjectaltname;
    return { failure: "wrong name", detail: names ? `it is for ${names}` : "it names nobody" };
  }
  if (UNTRUSTED.has(error)) {
    return { failure: "untrusted issuer", detail: `issued by ${certificate.issuer?.CN ?? "unknown"}` };
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

function findPinMismatch(certificate: PeerChain, pins: readonly string[]): Flaw | undefined {
  const keys = linkedChain(certificate).map(pinOf);
  if (keys.some((key) => pins.includes(key))) return undefined;
  return { failure: "pin mismatch", detail: `its keys are ${keys.map((key) => `sha256/${key}`).join(", ")}` };
}

/**
 * The certificates that are proven to belong together: each signed by the next. A certificate that a server merely
 * appends proves nothing, since it needs no private key for that.
 */
function linkedChain(leaf: PeerChain): X509Certificate[] {
  const linked: X509Certificate[] = [];
  for (const { raw } of chainOf(leaf)) {
    const certificate = new X509Certificate(raw);
    const below = linked.at(-1);
    if (below && !(below.checkIssued(certificate) && below.verify(certificate.publicKey))) break;
    linked.push(certificate);
  }
  return linked;
}

function pinOf({ publicKey }: X509Certificate): string {
  return createHash("sha256").update(publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

function chainOf(leaf: PeerChain): PeerChain[] {
  const chain: PeerChain[] = [];
  // A root is its own issuer.
  for (
    let each: PeerChain | undefined = leaf;
    each?.raw && each !== chain.at(-1);
    each = each.issuerCertificate
  ) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === each!.fingerprint256)) break;
    chain.push(each);
  }
  return chain;
}
