/**
 * Admission: the access rules and the rate limit of clients. It decides by address and transport, before any byte of the
 * query is read, and allocates nothing per query.
 */

import { IpAddress } from "../../net/ip_address.ts";
import { type Network, NetworkTable } from "../../net/ip_network.ts";
import type { Client } from "../../core/resolver.ts";
import { type Rate, RateLimit, TokenBuckets } from "./rate_limit.ts";

/**
 * The decision about a query. Clients that are not allowed get `refuse` (a reply) or `ignore` (none). Clients over the
 * rate limit get `truncate` (a reply) or `drop` (none).
 */
export type Verdict = "answer" | "refuse" | "ignore" | "truncate" | "drop";

export interface AdmissionOptions {
  /** The longest matching network of both lists decides. A network in both lists is denied. */
  readonly allow: readonly Network[];
  readonly deny: readonly Network[];
  /** The verdict for clients that are not allowed. */
  readonly denied: "refuse" | "ignore";
  /** The rate limit per client; undefined for none. */
  readonly rate: Rate | undefined;
  /** Networks without a rate limit. */
  readonly exempt: readonly Network[];
}

/**
 * The rate of refusals over UDP to all clients together, and of truncated replies. Beyond it there is no reply, so a flood
 * from forged addresses is hardly reflected. The two have separate buckets: a flood of clients that are not allowed does
 * not stop the truncated replies to clients that are.
 */
const NOTICE_RATE: Rate = { perSecond: 1000, burst: 1000 };
const [REFUSALS, TRUNCATED] = [0, 1];

export class Admission {
  readonly #denied: AdmissionOptions["denied"];
  readonly #allowed: NetworkTable<boolean>;
  readonly #exempt: NetworkTable<true>;
  readonly #limit: RateLimit | undefined;
  readonly #notices = new TokenBuckets(NOTICE_RATE, 2);
  readonly #address = new IpAddress();

  constructor({ allow, deny, denied, rate, exempt }: AdmissionOptions) {
    this.#denied = denied;
    this.#allowed = new NetworkTable([
      ...deny.map((network) => [network, false] as const),
      ...allow.map((network) => [network, true] as const),
    ]);
    this.#exempt = new NetworkTable(exempt.map((network) => [network, true] as const));
    this.#limit = rate && new RateLimit(rate);
  }

  /** The verdict of the access rules alone. */
  access(address: string): "answer" | AdmissionOptions["denied"] {
    return this.#allowed.find(this.#address.read(address)) === true ? "answer" : this.#denied;
  }

  /** The verdict for one query, which spends a token of the client. */
  admit({ address, transport }: Client, now: number): Verdict {
    return this.admitFrom(this.#address.read(address), transport, now);
  }

  admitFrom(words: IpAddress, transport: Client["transport"], now: number): Verdict {
    if (this.#allowed.find(words) !== true) {
      return this.#denied === "refuse" && this.#mayReply(REFUSALS, transport, now) ? "refuse" : "ignore";
    }
    if (!this.#limit || this.#exempt.find(words)) return "answer";
    switch (this.#limit.take(words, transport, now)) {
      case "within":
        return "answer";
      case "over":
        return this.#mayReply(TRUNCATED, transport, now) ? "truncate" : "drop";
      case "far over":
        return "drop";
    }
  }

  /** A TCP client has proved its address, so a reply to it is never reflected. */
  #mayReply(bucket: number, transport: Client["transport"], now: number): boolean {
    return transport === "tcp" || this.#notices.take(bucket, now);
  }
}
