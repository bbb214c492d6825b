import { X509Certificate } from "node:crypto";
import type { Config } from "./config.ts";
import { UsageError } from "../core/errors.ts";
import { type ReadFile, readTextFile } from "../platform/read_file.ts";
import { parseAnchors } from "../resolver/dnssec/trust_anchors.ts";
import type { UpstreamAddress } from "../upstream/address.ts";
import { readClientCertificate } from "../upstream/dial/client_certificate.ts";
import { splitCertificates } from "../upstream/dial/pem.ts";

/** A configuration, and what the files hold that it names. */
export interface LoadedFiles {
  /** Its upstreams have their client certificates with them. */
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  /** What `--admin-token-file` holds. */
  readonly token: string | undefined;
}

/** In characters: nobody guesses 16 of them. */
const SHORTEST_TOKEN = 16;

/** Throws `UsageError` for a file that cannot be read or used. */
export function readFiles(config: Config, read: ReadFile = readTextFile): LoadedFiles {
  const { ca, adminTokenFile } = config;
  return {
    config: withTrustAnchors(withClientCertificates(config, read), read),
    caCerts: ca === undefined ? [] : readCertificates(ca, read),
    token: adminTokenFile === undefined ? undefined : readToken(adminTokenFile, read),
  };
}

/**
 * Each certificate of the file, all of which must be usable: the platform looks at them in each handshake only, where one
 * bad certificate breaks all of them.
 */
function readCertificates(file: string, read: ReadFile): string[] {
  const certificates = split(read("--ca", file), file);
  for (const [i, each] of certificates.entries()) {
    checkCertificate(each, `--ca: "${file}": certificate ${i + 1}`);
  }
  return certificates;
}

function split(text: string, file: string): string[] {
  try {
    return splitCertificates(text);
  } catch (cause) {
    throw new UsageError(`--ca: "${file}" ${(cause as Error).message}`, { cause });
  }
}

function checkCertificate(pem: string, where: string): void {
  try {
    const certificate = new X509Certificate(pem);
    // The one call that has the TLS library look at roots before a handshake.
    Deno.createHttpClient({ caCerts: [pem] }).close();
    if (isDamaged(certificate)) throw new Error("its own signature does not fit, so that it is damaged");
  } catch (cause) {
    const { message } = cause as Error;
    throw new UsageError(`${where} cannot be used: ${message}; replace it, or take it out`, { cause });
  }
}

/** Only of a root that has signed itself can be seen whether it is as it was issued. */
function isDamaged(certificate: X509Certificate): boolean {
  try {
    return certificate.issuer === certificate.subject && !certificate.verify(certificate.publicKey);
  } catch {
    return false; // an old algorithm, which a root may have
  }
}

/** They travel with the addresses, so that all threads have the same, and none reads a file of its own. */
function withClientCertificates(config: Config, read: ReadFile): Config {
  const load = (address: UpstreamAddress): UpstreamAddress => {
    const { clientCertificate: files } = address;
    if (!files) return address;
    return { ...address, clientCertificate: { ...files, pem: readClientCertificate(address, read)! } };
  };
  const { upstreams, routes, bootstrap } = config;
  return {
    ...config,
    upstreams: upstreams.map(load),
    routes: routes.map((route) => ({ ...route, upstreams: route.upstreams.map(load) })),
    bootstrap: bootstrap.map((each) =>
      each.kind === "tls" ? { ...each, upstream: load(each.upstream) } : each
    ),
  };
}

/** The texts travel with the configuration, so that all threads have the same. */
function withTrustAnchors(config: Config, read: ReadFile): Config {
  const trustAnchors = config.trustAnchorFiles.map((file) => {
    const text = read("--trust-anchor", file);
    try {
      parseAnchors(text);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new UsageError(`--trust-anchor: "${file}": ${cause.message}`, { cause });
    }
    return text;
  });
  return { ...config, trustAnchors };
}

function readToken(file: string, read: ReadFile): string {
  const token = read("--admin-token-file", file).trim();
  if (token.length >= SHORTEST_TOKEN && !/\s/.test(token)) return token;
  throw new UsageError(
    `--admin-token-file: "${file}" must hold one word of at least ${SHORTEST_TOKEN} characters; ` +
      "make one with: openssl rand -hex 32",
  );
}
