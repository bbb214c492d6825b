import { parseUpstream, type UpstreamAddress } from "./address.ts";

/** The names under a domain go to upstreams of their own. */
export interface Route {
  /** In lower case, without the final dot. */
  readonly domain: string;
  readonly upstreams: readonly UpstreamAddress[];
}

/** Names that are looked up have labels which host names do not: `_tcp`, `10.in-addr.arpa`. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

/**
 * `DOMAIN=UPSTREAM`: one upstream, or a preset; the same domain again adds to it. So there is no separator, which would
 * be a second one beside the comma of the environment.
 */
export function parseRoute(text: string): Route[] {
  const [, written, upstream] = /^([^=?]*)=(.*)$/s.exec(text) ?? [];
  if (written === undefined || upstream === undefined) {
    throw new TypeError(`"${text}" has no domain; write DOMAIN=UPSTREAM for each of its upstreams`);
  }
  const domain = written.toLowerCase().replace(/\.$/, "");
  if (!DOMAIN.test(domain)) throw new TypeError(`"${written}" in "${text}" is not a domain`);
  return [{ domain, upstreams: parseUpstream(upstream) }];
}

/** One route for each domain, with all of its upstreams, in order. */
export function mergeRoutes(routes: readonly Route[]): Route[] {
  return [...Map.groupBy(routes, ({ domain }) => domain)].map(([domain, same]) => ({
    domain,
    upstreams: same.flatMap(({ upstreams }) => upstreams),
  }));
}
