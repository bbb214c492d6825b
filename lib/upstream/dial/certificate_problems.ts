/**
 * Why the certificates of a server are refused, in words. The platform has refused them already (or, for key usage, is
 * about to be overruled): nothing here makes a certificate acceptable.
 */
import type { X509Certificate } from "node:crypto";
import type { Failure } from "../../core/errors.ts";
import { escapeText } from "../../core/escape.ts";
import { type CertificateFields, readCertificate, SERVER_AUTH } from "./certificate.ts";
import { hasSigned, provenChain } from "../pins.ts";

/** What is wrong with the certificates that a server has shown. */
export interface CertificateProblem {
  readonly failure: Failure;
  readonly detail: string;
}

/** More issuers than any real chain has. */
const MAX_CHAIN = 10;
/** Below this many bits an RSA key is refused by the platform. */
const MIN_RSA_BITS = 2048;

/** Signature algorithms that the platform refuses (RFC 9155, RFC 6194). */
const WEAK_SIGNATURES: ReadonlyMap<string, string> = new Map([
  ["1.2.840.113549.1.1.4", "MD5"],
  ["1.2.840.113549.1.1.5", "SHA-1"],
  ["1.2.840.10040.4.3", "SHA-1"],
  ["1.2.840.10045.4.1", "SHA-1"],
]);

/** Whoever has set NODE_EXTRA_CA_CERTS or its like has to learn it here. */
const REMEDY = "only --ca adds issuers, no environment variable does";
/** In characters: names longer than this would leave no room for the rest of a message. */
const MAX_NAME = 80;

/** The platform has few codes for what is wrong with a chain; the certificates show more. */
export function explainRejection(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  error: string,
): CertificateProblem {
  const dateFlaw = findDateProblem(provenChain(leaf, others));
  if (dateFlaw) return dateFlaw;
  const trusted = new Set(roots);
  const chain = signersOf(leaf, [...roots, ...others]);
  const root = chain.find((each) => trusted.has(each));
  if (root) {
    const defect = findDefect(chain.slice(0, chain.indexOf(root))) ?? `the platform refuses it (${error})`;
    const detail = `its chain leads to ${commonName(root.subject)}, which is trusted, but ${defect}`;
    return { failure: "bad certificate", detail };
  }
  const last = chain.at(-1)!;
  const isSelfSigned = last === leaf && leaf.subject === leaf.issuer;
  const issuer = isSelfSigned ? "it is self-signed" : `issued by ${commonName(last.issuer)}`;
  return { failure: "untrusted issuer", detail: `${issuer}; ${REMEDY}` };
}

/** The leaf and those above it that have signed each other, whether or not they may. */
function signersOf(leaf: X509Certificate, candidates: readonly X509Certificate[]): X509Certificate[] {
  const chain = [leaf];
  while (chain.length <= MAX_CHAIN) {
    const below = chain.at(-1)!;
    const issuer = candidates.find((each) => !chain.includes(each) && hasSigned(each, below));
    if (!issuer) break;
    chain.push(issuer);
  }
  return chain;
}

/** Why a chain that is signed by a trusted root is refused all the same; the leaf stands first. */
function findDefect(chain: readonly X509Certificate[]): string | undefined {
  const fields = chain.map(({ raw }) => readCertificate(raw));
  for (const [depth, certificate] of chain.entries()) {
    const defect = depth === 0
      ? findLeafDefect(fields[depth]!)
      : findIssuerDefect(certificate, fields[depth]!, depth);
    const shared = defect ?? findSharedDefect(certificate, fields[depth]!, depth);
    if (shared !== undefined) return shared;
  }
  const limiting = fields.findLastIndex(({ hasNameConstraints }) => hasNameConstraints);
  if (limiting < 0) return undefined;
  return `the name constraints of ${commonName(chain[limiting]!.subject)} do not permit its names`;
}

function findLeafDefect({ isAuthority }: CertificateFields): string | undefined {
  return isAuthority ? "it is an authority's own certificate (CA:TRUE), not a server's" : undefined;
}

function findIssuerDefect(
  issuer: X509Certificate,
  { isAuthority, mayIssue, maxPathLength }: CertificateFields,
  depth: number,
): string | undefined {
  const name = commonName(issuer.subject);
  if (!isAuthority) return `its issuer ${name} is no authority (CA:FALSE)`;
  if (!mayIssue) return mayNotIssue(issuer);
  if (maxPathLength >= depth - 1) return undefined;
  return `${name} allows ${maxPathLength} authorities below itself, and there are ${depth - 1} (path length)`;
}

function findSharedDefect(
  certificate: X509Certificate,
  { signatureAlgorithm, unknownCritical, extendedKeyUsage }: CertificateFields,
  depth: number,
): string | undefined {
  const whose = depth === 0 ? "it" : commonName(certificate.subject);
  const weak = WEAK_SIGNATURES.get(signatureAlgorithm);
  if (weak) return `${whose} is signed with ${weak}`;
  const [unknown] = unknownCritical;
  if (unknown !== undefined) return `${whose} has the critical extension ${unknown}, which is not known here`;
  if (extendedKeyUsage && !extendedKeyUsage.includes(SERVER_AUTH)) {
    return `${whose} is not for servers: the extended key usage lacks serverAuth`;
  }
  const { modulusLength = Infinity } = certificate.publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength >= MIN_RSA_BITS) return undefined;
  return `${whose} has an RSA key of ${modulusLength} bits; ${MIN_RSA_BITS} are the least`;
}

export function mayNotIssue(issuer: X509Certificate): string {
  const name = commonName(issuer.subject);
  return `its issuer ${name} may not issue certificates: the key usage lacks keyCertSign`;
}

export function findDateProblem(chain: readonly X509Certificate[]): CertificateProblem | undefined {
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

/** From the lines of a distinguished name, escaped and cut. */
function commonName(name: string): string {
  const text = /^CN=(.*)$/m.exec(name)?.[1] ?? (name.replaceAll("\n", ", ") || "unknown");
  return escapeText(text, MAX_NAME);
}
