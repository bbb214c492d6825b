/** Looks up host names with the system's resolver, for upstreams without a bootstrap server. */

import { lookup } from "node:dns/promises";
import { errorCode, isShortage } from "../../platform/host_error.ts";

/**
 * The addresses of a host, the best first, at least one. Rejects with an error for the operator. May be called
 * concurrently.
 *
 * @param refresh whether to ignore cached addresses, because no connection to them could be opened
 */
export type HostLookup = (host: string, refresh?: boolean) => Promise<readonly string[]>;

/** Time limit of the system's resolver. The rest of a dial's time is for the connection. */
const LIMIT_MS = 4000;

/** Running lookups by host. A lookup that hangs occupies a thread, so another one for its host does not start. */
const running = new Map<string, Promise<readonly string[]>>();

/**
 * Uses `getaddrinfo(3)`, which also reads /etc/hosts and other configured sources, and sorts by RFC 6724. In contrast,
 * `Deno.resolveDns` only asks the servers in /etc/resolv.conf.
 */
export async function systemLookup(host: string): Promise<readonly string[]> {
  try {
    return await within(LIMIT_MS, running.get(host) ?? start(host));
  } catch (cause) {
    if (isShortage(cause)) throw cause;
    throw new Error(reasonOf(cause), { cause });
  }
}

function start(host: string): Promise<readonly string[]> {
  const found = lookup(host, { all: true, order: "verbatim" })
    .then((all) => all.map(({ address }) => address))
    .finally(() => running.delete(host));
  running.set(host, found);
  return found;
}

/** Settles like the promise, or rejects after `ms` milliseconds. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new DOMException("time is over", "TimeoutError")), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const REMEDY = "if it leads back to this program, name another server with --bootstrap";

function reasonOf(error: unknown): string {
  const code = errorCode(error);
  if (code === "EAI_AGAIN") return `the system's resolver gives no answer (${code}); ${REMEDY}`;
  if (code === "ENOTFOUND") return `the system's resolver knows no such name (${code})`;
  const { name, message } = error as Error;
  if (name === "TimeoutError") return `the system's resolver takes more than ${LIMIT_MS / 1000} s; ${REMEDY}`;
  return message;
}
