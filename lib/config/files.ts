/** Files that the configuration names: certificates, keys and the admin token. */

import { X509Certificate } from "node:crypto";
import type { Config } from "./config.ts";
import { UsageError } from "../core/errors.ts";
import { type ReadFile, readTextFile } from "../platform/read_file.ts";
import { parseAnchors } from "../resolver/dnssec/trust_anchors.ts";
import type { UpstreamAddress } from "../upstream/address.ts";
import { readClientCertificate } from "../upstream/dial/client_certificate.ts";
import { splitCertificates } from "../upstream/dial/pem.ts";

/** A configuration with the contents of its files. */
export interface LoadedFiles {
  /** Includes the client certificates of upstreams. */
  readonly config: Config;
  /** PEM certificates that are trusted in addition to the built-in roots. */
  readonly caCerts: readonly string[];
  /** Contents of `--admin-token-file`. */
  readonly token: string | undefined;
}

/** In characters. Long enough that it cannot be guessed. */
const MIN_TOKEN_LENGTH = 16;

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
 * The certificates of the file. All of them must be valid, because the platform checks them only during a handshake, which
 * one bad certificate makes fail.
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
    // The only call that makes the TLS library check roots before a handshake.
    Deno.createHttpClient({ caCerts: [pem] }).close();
    if (isDamaged(certificate)) throw new Error("its signature is invalid, so it is damaged");
  } catch (cause) {
    const { message } = cause as Error;
    throw new UsageError(`${where} cannot be used: ${message}; replace it, or take it out`, { cause });
  }
}

/** Whether the signature of a self-signed root is invalid. The signature of any other certificate needs its issuer. */
function isDamaged(certificate: X509Certificate): boolean {
  try {
    return certificate.issuer === certificate.subject && !certificate.verify(certificate.publicKey);
  } catch {
    return false; // An old algorithm, which is allowed for a root.
  }
}

/** Adds client certificates to the addresses, so that all threads use the same ones and read no files. */
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
  if (token.length >= MIN_TOKEN_LENGTH && !/\s/.test(token)) return token;
  throw new UsageError(
    `--admin-token-file: "${file}" must contain one word of at least ${MIN_TOKEN_LENGTH} characters; ` +
      "create one with: openssl rand -hex 32",
  );
}
