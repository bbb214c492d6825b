import { lookup } from "node:dns/promises";
import { errorCode, isShortage } from "../../platform/host_error.ts";

/**
 * The addresses of a host, best first and never none; rejects with what is wrong. May be called concurrently.
 *
 * @param anew whether a connection to the addresses from before could not be had, so that they are not to be reused
 */
export type HostLookup = (host: string, anew?: boolean) => Promise<readonly string[]>;

/** The time that the system's resolver may take, in ms: some of a dial's has to be left. */
const LIMIT = 4000;

/** Lookups that have not ended, by host. One that hangs holds a thread of the system's, and is not begun again meanwhile. */
const underWay = new Map<string, Promise<readonly string[]>>();

/**
 * As the system does it: `getaddrinfo(3)` knows /etc/hosts and whatever else the host is set up with, in the order of
 * RFC 6724. `Deno.resolveDns` only asks the servers in /etc/resolv.conf.
 */
export async function systemLookup(host: string): Promise<readonly string[]> {
  try {
    return await within(LIMIT, underWay.get(host) ?? begin(host));
  } catch (cause) {
    if (isShortage(cause)) throw cause;
    throw new Error(reasonOf(cause), { cause });
  }
}

function begin(host: string): Promise<readonly string[]> {
  const found = lookup(host, { all: true, order: "verbatim" })
    .then((all) => all.map(({ address }) => address))
    .finally(() => underWay.delete(host));
  underWay.set(host, found);
  return found;
}

/** Settles as the promise does, or rejects after so many ms. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new DOMException("time is up", "TimeoutError")), ms);
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
  if (name === "TimeoutError") return `the system's resolver takes more than ${LIMIT / 1000} s; ${REMEDY}`;
  return message;
}
