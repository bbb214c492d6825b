/**
 * Environment variables that would make the platform trust further roots, skip verification, or write the keys of connections
 * to a file. Only options (`--ca`, pins, `--opportunistic`) decide about trust, not a shell profile, an image or a unit file.
 */

const VARIABLES = [
  "NODE_EXTRA_CA_CERTS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NODE_USE_SYSTEM_CA",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "SSLKEYLOGFILE",
];

/**
 * Removes these variables from the environment of this process, and returns the names of those that were set. Call it before
 * the first TLS context, which reads them.
 */
export function dropTrustVariables(): string[] {
  const set = VARIABLES.filter((name) => Deno.env.has(name));
  for (const name of set) Deno.env.delete(name);
  return set;
}
