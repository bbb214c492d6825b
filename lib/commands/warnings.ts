/** Warnings about a configuration that works but may surprise. They are logged at the start and after each reload. */

import { isIP } from "node:net";
import type { Config } from "../config/config.ts";
import { IpAddress } from "../net/ip_address.ts";
import { type Network, NetworkTable, PRIVATE_NETWORKS } from "../net/ip_network.ts";
import { withinDescriptors } from "../platform/descriptors.ts";

/** RFC 8310 §5: with this profile, an active attacker can read and forge everything. */
const OPPORTUNISTIC = "--opportunistic: upstreams are used even if their certificate cannot be verified, " +
  "so an attacker on the path can read and forge answers";

/**
 * All warnings about this configuration.
 *
 * @param addresses addresses that the proxy listens on
 * @param descriptors the limit of file descriptors, if known
 */
export function configWarnings(
  config: Config,
  addresses: readonly Deno.NetAddr[],
  descriptors: number | undefined,
): string[] {
  const warnings = [
    descriptorWarning(config, descriptors),
    config.opportunistic ? OPPORTUNISTIC : undefined,
    resolverLoopWarning(config, addresses),
    openResolverWarning(addresses.map(({ hostname }) => hostname), config.policy.allow),
  ];
  return warnings.filter((warning) => warning !== undefined);
}

function descriptorWarning(config: Config, descriptors: number | undefined): string | undefined {
  const { maxTcpClients } = withinDescriptors(config, descriptors);
  if (maxTcpClients === config.maxTcpClients) return undefined;
  return `at most ${maxTcpClients} TCP clients instead of --max-tcp-clients ${config.maxTcpClients}: ` +
    `the limit of ${descriptors} file descriptors allows no more; ` +
    "raise LimitNOFILE (systemd), ulimit -n, or --ulimit nofile (containers)";
}

/** The resolver configuration of the system, and the one that systemd-resolved forwards to. */
const RESOLVER_FILES = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/**
 * Warns if the system's resolver forwards to this proxy while an upstream is given by name. Looking up that name would
 * need the upstream.
 */
export function resolverLoopWarning(
  { upstreams, routes, bootstrap }: Config,
  addresses: readonly Deno.NetAddr[],
  read = readIfPresent,
): string | undefined {
  const all = [...upstreams, ...routes.flatMap((route) => route.upstreams)];
  const named = all.find(({ host }) => isIP(host) === 0);
  if (!named || bootstrap.length > 0) return undefined;
  const own = new Set(addresses.filter(({ port }) => port === 53).map(({ hostname }) => hostname));
  for (const file of RESOLVER_FILES) {
    const server = nameservers(read(file)).find((each) => own.has(each));
    if (server === undefined) continue;
    return `${file} points back to dot-proxy (${server}), so the system's resolver cannot look up ${named.host}; ` +
      "set another server, as in --bootstrap 9.9.9.9, or give the upstream by address";
  }
  return undefined;
}

/** resolv.conf(5): the keyword at the start of the line, then one address. */
function nameservers(text: string): string[] {
  return [...text.matchAll(/^nameserver[ \t]+(\S+)/gm)].map(([, address]) => address!.replace(/%.*/, ""));
}

function readIfPresent(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Warns if a public address is among these and all clients are allowed. */
export function openResolverWarning(
  addresses: readonly string[],
  allow: readonly Network[],
): string | undefined {
  const privateNetworks = new NetworkTable(PRIVATE_NETWORKS.map((network) => [network, true] as const));
  const open = addresses.filter((text) => {
    const address = new IpAddress().read(text);
    const allowsAll = allow.some(({ isIpv4, length }) => isIpv4 === address.isIpv4 && length === 0);
    return allowsAll && privateNetworks.find(address) === undefined;
  });
  if (open.length === 0) return undefined;
  return `anyone can query ${
    open.join(", ")
  }: attackers use open resolvers to flood others with responses; ` +
    "restrict the clients with --allow, or at least set --rate-limit";
}
