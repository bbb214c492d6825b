import type { Config } from "./config/config.ts";
import { UsageError } from "./errors.ts";
import { readInputFile } from "./input_file.ts";

/** A configuration, and what the files hold that it names. */
export interface Inputs {
  readonly config: Config;
  /** PEM certificates trusted beside the built-in roots. */
  readonly caCerts: readonly string[];
  /** What `--admin-token-file` holds. */
  readonly token: string | undefined;
}

/** In characters: nobody guesses 16 of them. */
const SHORTEST_TOKEN = 16;

/** Throws `UsageError` for a file that cannot be read or used. */
export function readInputs(config: Config): Inputs {
  const { ca, adminTokenFile } = config;
  return {
    config,
    caCerts: ca === undefined ? [] : [readCertificates(ca)],
    token: adminTokenFile === undefined ? undefined : readToken(adminTokenFile),
  };
}

function readCertificates(file: string): string {
  const text = readInputFile("--ca", file);
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UsageError(
    `--ca: "${file}" holds no PEM certificate, which starts with -----BEGIN CERTIFICATE-----`,
  );
}

function readToken(file: string): string {
  const token = readInputFile("--admin-token-file", file).trim();
  if (token.length >= SHORTEST_TOKEN && !/\s/.test(token)) return token;
  throw new UsageError(
    `--admin-token-file: "${file}" must hold one word of at least ${SHORTEST_TOKEN} characters; ` +
      "make one with: openssl rand -hex 32",
  );
}
