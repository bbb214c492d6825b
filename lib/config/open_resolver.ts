import { IpAddress } from "../net/ip_address.ts";
import { type Network, NetworkTable, PRIVATE_NETWORKS } from "../net/ip_network.ts";

/** What to say at the start if strangers can reach one of these addresses, and all of them may ask. */
export function openResolverWarning(
  addresses: readonly string[],
  allow: readonly Network[],
): string | undefined {
  const own = new NetworkTable(PRIVATE_NETWORKS.map((network) => [network, true] as const));
  const open = addresses.filter((text) => {
    const address = new IpAddress().read(text);
    const isForAll = allow.some(({ isIpv4, length }) => isIpv4 === address.isIpv4 && length === 0);
    return isForAll && own.find(address) === undefined;
  });
  if (open.length === 0) return undefined;
  return `everybody may ask on ${
    open.join(", ")
  }: strangers use an open resolver to flood others with its answers; ` +
    "name your clients' networks with --allow, or set a --rate-limit and know what you do";
}
