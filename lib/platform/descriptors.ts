/**
 * File descriptors, of which a process may have RLIMIT_NOFILE: TCP clients get what is left when all else has its part, so
 * that clients alone never keep the proxy from its upstreams or the operator from the proxy.
 *
 * A limit that is too low lowers `--max-tcp-clients` and says so. It does not refuse the start: a name service with fewer
 * TCP clients is worth more than none, and UDP needs no descriptor for a client.
 */
import { LIBRARIES } from "./libc.ts";

/** For the runtime, log, files that are read again, lookups of upstreams' names, and what a reload has twice. */
const BASE = 64;
/** For the event loop of a thread and its wake-up socket. */
const THREAD = 12;
/** Connections to an upstream and their successors, of each thread. */
const UPSTREAM = 6;
/** Sockets of an address, or of those that a wildcard stands for. */
const [ADDRESS, WILDCARD] = [2, 32];
/** Connections to the admin address where there are enough descriptors, and the part of all of them otherwise. */
const [ADMIN, ADMIN_PART] = [100, 1 / 8];
/** The part of all descriptors that clients get at least. */
const CLIENTS_PART = 1 / 4;

const RLIMIT_NOFILE = 7;

/** The part of a configuration that decides how many descriptors are in use. */
export interface DescriptorUse {
  readonly upstreams: readonly { readonly label: string }[];
  readonly routes: readonly { readonly upstreams: readonly { readonly label: string }[] }[];
  readonly listen: readonly { readonly hostname: string }[];
  readonly workers: number;
  readonly admin?: unknown;
  readonly maxTcpClients: number;
}

/** How many descriptors this process may have; undefined where the C library, which knows it, cannot be had. */
export function descriptorLimit(): number | undefined {
  for (const path of LIBRARIES) {
    try {
      const library = Deno.dlopen(path, { getrlimit: { parameters: ["i32", "buffer"], result: "i32" } });
      const limits = new BigUint64Array(2);
      const failed = library.symbols.getrlimit(RLIMIT_NOFILE, limits);
      library.close();
      return failed ? undefined : Number(limits[0]);
    } catch { /* it may be elsewhere */ }
  }
  return undefined;
}

/** How many connections the admin address may have. */
export function adminConnections(limit: number | undefined): number {
  return Math.min(ADMIN, Math.floor((limit ?? Infinity) * ADMIN_PART));
}

/** The configuration with as many TCP clients as there are descriptors left for. */
export function withinDescriptors<Config extends DescriptorUse>(
  config: Config,
  limit: number | undefined,
): Config {
  if (limit === undefined) return config;
  const left = Math.max(limit - reserve(config, limit), Math.floor(limit * CLIENTS_PART));
  return left < config.maxTcpClients ? { ...config, maxTcpClients: left } : config;
}

function reserve({ upstreams, routes, listen, workers, admin }: DescriptorUse, limit: number): number {
  const servers = new Set(
    [...upstreams, ...routes.flatMap((each) => each.upstreams)].map(({ label }) => label),
  );
  const isWildcard = listen.some(({ hostname }) => hostname === "0.0.0.0" || hostname === "::");
  const sockets = ADDRESS * listen.length + (isWildcard ? WILDCARD : 0);
  return BASE + workers * (THREAD + UPSTREAM * servers.size + sockets) +
    (admin ? adminConnections(limit) : 0);
}
