import type { Config } from "./config/config.ts";
import { Type } from "./dns/codes.ts";
import type { Flush } from "./resolver/flush.ts";

/** What is cached that would be answered otherwise now, by others or under other conditions. */
export function outdated(before: Config, now: Config): Flush[] {
  const isSafer = before.opportunistic && !now.opportunistic;
  if (isSafer || rebinding(before) !== rebinding(now)) return ["all"];
  const [old, current] = [before, now].map(({ routes }) =>
    new Map(routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label).join()]))
  ) as [Map<string, string>, Map<string, string>];
  const domains = new Set([...old.keys(), ...current.keys()]);
  return [...domains].filter((domain) => old.get(domain) !== current.get(domain))
    .map((suffix) => ({ suffix }));
}

/** In one text what it depends on which answers are right: those that were saved under another are not to be given. */
export function conditions(config: Config): string {
  const routes = config.routes.map(({ domain, upstreams }) => [domain, upstreams.map(({ label }) => label)]);
  return JSON.stringify([routes, config.opportunistic, rebinding(config)]);
}

function rebinding({ policy: { rebindProtection, rebindAllow, records } }: Config): string {
  const targets = records.filter(({ type }) => type === Type.CNAME).map(({ data }) => data.toHex());
  return JSON.stringify(rebindProtection ? [rebindAllow, targets] : false);
}
