/**
 * The budget of file descriptors (RLIMIT_NOFILE). Upstreams, files and the admin server have reserved parts, and TCP clients
 * get the rest. So clients cannot block upstream connections or the operator.
 *
 * A low limit lowers `--max-tcp-clients`, with a warning. It does not prevent the start, because UDP clients need no
 * descriptors.
 */

import { LIBRARIES } from "./libc.ts";

/** For the runtime, log, reloaded files, name lookups, and objects that exist twice during a reload. */
const BASE = 64;
/** Per thread: its event loop and its wake-up socket. */
const THREAD = 12;
/** Per upstream and thread: its connections and their successors. */
const UPSTREAM = 6;
/** Sockets of one listen address, and of a wildcard, which stands for several. */
const [ADDRESS, WILDCARD] = [2, 32];
/** Maximum of admin connections, and their maximum share of all descriptors. */
const [ADMIN, ADMIN_SHARE] = [100, 1 / 8];
/** Minimum share of all descriptors for TCP clients. */
const CLIENTS_SHARE = 1 / 4;

const RLIMIT_NOFILE = 7;

/** The part of a configuration that determines the use of descriptors. */
export interface DescriptorUse {
  readonly upstreams: readonly { readonly label: string }[];
  readonly routes: readonly { readonly upstreams: readonly { readonly label: string }[] }[];
  readonly listen: readonly { readonly hostname: string }[];
  readonly workers: number;
  readonly admin?: unknown;
  readonly maxTcpClients: number;
}

/** The soft limit of this process. Undefined if the C library cannot be loaded. */
export function descriptorLimit(): number | undefined {
  for (const path of LIBRARIES) {
    try {
      const library = Deno.dlopen(path, { getrlimit: { parameters: ["i32", "buffer"], result: "i32" } });
      const limits = new BigUint64Array(2);
      const failed = library.symbols.getrlimit(RLIMIT_NOFILE, limits);
      library.close();
      return failed ? undefined : Number(limits[0]);
    } catch { /* Try the next path. */ }
  }
  return undefined;
}

/** Maximum of connections to the admin server. */
export function adminConnections(limit: number | undefined): number {
  return Math.min(ADMIN, Math.floor((limit ?? Infinity) * ADMIN_SHARE));
}

/** The configuration, with `maxTcpClients` lowered to the remaining descriptors. */
export function withinDescriptors<Config extends DescriptorUse>(
  config: Config,
  limit: number | undefined,
): Config {
  if (limit === undefined) return config;
  const remaining = Math.max(limit - reserve(config, limit), Math.floor(limit * CLIENTS_SHARE));
  return remaining < config.maxTcpClients ? { ...config, maxTcpClients: remaining } : config;
}

/** Descriptors for everything except TCP clients. */
function reserve({ upstreams, routes, listen, workers, admin }: DescriptorUse, limit: number): number {
  const servers = new Set(
    [...upstreams, ...routes.flatMap((each) => each.upstreams)].map(({ label }) => label),
  );
  const isWildcard = listen.some(({ hostname }) => hostname === "0.0.0.0" || hostname === "::");
  const sockets = ADDRESS * listen.length + (isWildcard ? WILDCARD : 0);
  return BASE + workers * (THREAD + UPSTREAM * servers.size + sockets) +
    (admin ? adminConnections(limit) : 0);
}
