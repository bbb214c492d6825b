/**
 * Explains in words why certificates are rejected. The decision was made before, by the platform or by
 * `certificate_check.ts`: no function here makes a certificate acceptable.
 */

import type { X509Certificate } from "node:crypto";
import type { Failure } from "../../core/errors.ts";
import { escapeText } from "../../core/escape.ts";
import { type CertificateFields, readCertificate, SERVER_AUTH } from "./certificate.ts";
import { hasSigned, provenChain } from "../pins.ts";

/** A problem with the certificates of a server. */
export interface CertificateProblem {
  readonly failure: Failure;
  readonly detail: string;
}

/** Maximum number of issuers to look for. Real chains are shorter. */
const MAX_CHAIN = 10;
/** The platform rejects shorter RSA keys. */
const MIN_RSA_BITS = 2048;

/** Signature algorithms that the platform rejects (RFC 9155, RFC 6194). */
const WEAK_SIGNATURES: ReadonlyMap<string, string> = new Map([
  ["1.2.840.113549.1.1.4", "MD5"],
  ["1.2.840.113549.1.1.5", "SHA-1"],
  ["1.2.840.10040.4.3", "SHA-1"],
  ["1.2.840.10045.4.1", "SHA-1"],
]);

/** For operators who set NODE_EXTRA_CA_CERTS or similar variables. */
const REMEDY = "only --ca adds issuers, no environment variable does";
/** A longer name would leave no room for the rest of a message. */
const MAX_NAME_CHARACTERS = 80;

/** Explains a rejection by the platform. Its error codes are few, so the certificates are examined. */
export function explainRejection(
  leaf: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  error: string,
): CertificateProblem {
  const dateProblem = findDateProblem(provenChain(leaf, others));
  if (dateProblem) return dateProblem;
  const trusted = new Set(roots);
  const chain = signersOf(leaf, [...roots, ...others]);
  const root = chain.find((each) => trusted.has(each));
  if (root) {
    const problem = describeProblem(chain.slice(0, chain.indexOf(root))) ??
      `the platform rejects it (${error})`;
    const detail = `its chain leads to ${commonName(root.subject)}, which is trusted, but ${problem}`;
    return { failure: "bad certificate", detail };
  }
  const last = chain.at(-1)!;
  const isSelfSigned = last === leaf && leaf.subject === leaf.issuer;
  const issuer = isSelfSigned ? "it is self-signed" : `issued by ${commonName(last.issuer)}`;
  return { failure: "untrusted issuer", detail: `${issuer}; ${REMEDY}` };
}

/** The leaf and the certificates above it that signed each other, allowed or not. */
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

/** The problem of a chain that is signed by a trusted root, beginning with the leaf. */
function describeProblem(chain: readonly X509Certificate[]): string | undefined {
  const fields = chain.map(({ raw }) => readCertificate(raw));
  for (const [depth, certificate] of chain.entries()) {
    const own = depth === 0
      ? describeLeafProblem(fields[depth]!)
      : describeIssuerProblem(certificate, fields[depth]!, depth);
    const problem = own ?? describeCommonProblem(certificate, fields[depth]!, depth);
    if (problem !== undefined) return problem;
  }
  const limiting = fields.findLastIndex(({ hasNameConstraints }) => hasNameConstraints);
  if (limiting < 0) return undefined;
  return `the name constraints of ${commonName(chain[limiting]!.subject)} do not permit its names`;
}

function describeLeafProblem({ isAuthority }: CertificateFields): string | undefined {
  return isAuthority ? "it is an authority's own certificate (CA:TRUE), not a server's" : undefined;
}

function describeIssuerProblem(
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

function describeCommonProblem(
  certificate: X509Certificate,
  { signatureAlgorithm, unknownCritical, extendedKeyUsage }: CertificateFields,
  depth: number,
): string | undefined {
  const whose = depth === 0 ? "it" : commonName(certificate.subject);
  const weak = WEAK_SIGNATURES.get(signatureAlgorithm);
  if (weak) return `${whose} is signed with ${weak}`;
  const [unknown] = unknownCritical;
  if (unknown !== undefined) return `${whose} has the critical extension ${unknown}, which is not supported`;
  if (extendedKeyUsage && !extendedKeyUsage.includes(SERVER_AUTH)) {
    return `${whose} is not for servers: the extended key usage lacks serverAuth`;
  }
  const { modulusLength = Infinity } = certificate.publicKey.asymmetricKeyDetails ?? {};
  if (modulusLength >= MIN_RSA_BITS) return undefined;
  return `${whose} has an RSA key of ${modulusLength} bits; ${MIN_RSA_BITS} are the minimum`;
}

/** The words for an issuer whose key usage forbids it to sign certificates. */
export function mayNotIssue(issuer: X509Certificate): string {
  const name = commonName(issuer.subject);
  return `its issuer ${name} may not issue certificates: the key usage lacks keyCertSign`;
}

/** The first certificate that has expired or is not valid yet. */
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

/** The common name of a distinguished name, or all of it; escaped and cut. */
function commonName(name: string): string {
  const text = /^CN=(.*)$/m.exec(name)?.[1] ?? (name.replaceAll("\n", ", ") || "unknown");
  return escapeText(text, MAX_NAME_CHARACTERS);
}
