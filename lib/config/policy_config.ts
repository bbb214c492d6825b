/** The part of the configuration about clients, local data, lists and filters. */

import { Type } from "../dns/codes.ts";
import { nameToString } from "../dns/name.ts";
import { UsageError } from "../core/errors.ts";
import type { Rate } from "../frontend/answer/rate_limit.ts";
import type { Network } from "../net/ip_network.ts";
import type { Name, Value } from "./options.ts";
import type { ListFile } from "../resolver/blocklist/list_loader.ts";
import { type LocalRecord, ZoneData } from "../resolver/local/zone_data.ts";

export interface PolicyConfig {
  readonly allow: readonly Network[];
  readonly deny: readonly Network[];
  readonly denyAnswer: Value<"deny-answer">;
  /** Undefined without a limit. */
  readonly rateLimit: Rate | undefined;
  readonly rateLimitExempt: readonly Network[];
  /** Paths. */
  readonly hosts: readonly string[];
  readonly records: readonly LocalRecord[];
  readonly specialNames: Value<"special-names">;
  readonly canaryNames: Value<"canary-names">;
  readonly lists: readonly ListFile[];
  readonly blockAnswer: Value<"block-answer">;
  readonly rebindProtection: boolean;
  /** Domains. */
  readonly rebindAllow: readonly string[];
  readonly filterTypes: readonly number[];
  readonly filterSigned: boolean;
}

/** @param values returns the values of an option, or its default. Throws `UsageError` for contradictory records. */
export function composePolicy(values: <N extends Name>(name: N) => Value<N>[]): PolicyConfig {
  const records = values("record");
  refuseAliasesBesideData(records);
  refuseAliasLoops(records);
  return {
    allow: values("allow"),
    deny: values("deny"),
    denyAnswer: values("deny-answer")[0]!,
    rateLimit: values("rate-limit")[0],
    rateLimitExempt: values("rate-limit-exempt"),
    hosts: values("hosts"),
    records,
    specialNames: values("special-names")[0]!,
    canaryNames: values("canary-names")[0]!,
    lists: [
      ...values("block").map((list) => ({ ...list, allows: false })),
      ...values("unblock").map((list) => ({ ...list, allows: true })),
    ],
    blockAnswer: values("block-answer")[0]!,
    rebindProtection: values("rebind-protection")[0] === "true",
    rebindAllow: values("rebind-allow"),
    filterTypes: values("filter-type"),
    filterSigned: values("filter-signed")[0] === "true",
  };
}

/** "If a CNAME RR is present at a node, no other data should be present" (RFC 1034 §3.6.2). */
function refuseAliasesBesideData(records: readonly LocalRecord[]): void {
  for (const same of Map.groupBy(records, ({ name }) => String(name)).values()) {
    if (same.length === 1 || !same.some(({ type }) => type === Type.CNAME)) continue;
    const name = nameToString(same[0]!.name, 0);
    throw new UsageError(
      `--record: ${name} has a CNAME record and others; a name with a CNAME cannot have other records (RFC 1034); remove one of them`,
    );
  }
}

/** Aliases in a circle have no data. An alias for itself is allowed: it excludes its name from a wildcard. */
function refuseAliasLoops(records: readonly LocalRecord[]): void {
  const names = new ZoneData();
  for (const record of records) names.add(record);
  for (const { name, type, data } of records) {
    if (type !== Type.CNAME) continue;
    const trail = new Map([[String(name), name]]);
    for (let target = data;;) {
      const alias = names.findName(target)?.name.alias;
      if (!alias || String(alias) === String(target)) break;
      const isKnown = trail.has(String(target));
      trail.set(String(target), target);
      if (isKnown) {
        const circle = [...trail.values(), target].map((name) => nameToString(name, 0)).join(" → ");
        throw new UsageError(
          `--record: the aliases ${circle} form a loop; point one of them to another name`,
        );
      }
      target = alias;
    }
  }
}
