import { isIP } from "node:net";
import type { Config } from "../config/config.ts";

/** Where the system's resolver has its servers; systemd-resolved, which is one of them itself, has its own here. */
const FILES = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/**
 * What to say at the start if the system's resolver leads back here: it cannot find an upstream that is given by name
 * then, for to answer it this program needs that upstream.
 *
 * @param addresses where this program listens
 */
export function resolverLoopWarning(
  { upstreams, routes, bootstrap }: Config,
  addresses: readonly Deno.NetAddr[],
  read = readIfThere,
): string | undefined {
  const all = [...upstreams, ...routes.flatMap((route) => route.upstreams)];
  const named = all.find(({ host }) => isIP(host) === 0);
  if (!named || bootstrap.length > 0) return undefined;
  const own = new Set(addresses.filter(({ port }) => port === 53).map(({ hostname }) => hostname));
  for (const file of FILES) {
    const server = nameservers(read(file)).find((each) => own.has(each));
    if (server === undefined) continue;
    return `${file} leads back here (${server}), so the system's resolver cannot find ${named.host}; ` +
      "name another server for that, as in --bootstrap 9.9.9.9, or give the upstream by address";
  }
  return undefined;
}

/** resolv.conf(5): one address behind the keyword, at the beginning of the line. */
function nameservers(text: string): string[] {
  return [...text.matchAll(/^nameserver[ \t]+(\S+)/gm)].map(([, address]) => address!.replace(/%.*/, ""));
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}
