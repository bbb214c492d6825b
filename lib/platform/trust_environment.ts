/**
 * Environment variables by which the platform would trust further roots, trust anyone, or write down the keys of
 * connections. Trust comes from the options alone (`--ca`, pins, `--opportunistic`), so that no shell profile, image or
 * unit file decides about it unseen.
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
 * Takes these variables away from this process, and returns those that were set. The platform reads them when it makes
 * its first TLS context: to be called before.
 */
export function dropTrustVariables(): string[] {
  const set = VARIABLES.filter((name) => Deno.env.has(name));
  for (const name of set) Deno.env.delete(name);
  return set;
}
