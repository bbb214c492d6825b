import { IpAddress } from "../../net/ip_address.ts";
import { type Network, NetworkTable } from "../../net/ip_network.ts";
import type { Client } from "../../core/resolver.ts";
import { type Rate, RateLimit, TokenBuckets } from "./rate_limit.ts";

/**
 * What becomes of a query before anything of it is read. `refuse` and `ignore` are for those who may not ask, `truncate`
 * and `drop` for those who ask too much: the first of each with a word, the second in silence.
 */
export type Verdict = "answer" | "refuse" | "ignore" | "truncate" | "drop";

export interface AdmissionOptions {
  /** Of the networks that a client is in, the longest decides; one that is in both lists is denied. */
  readonly allow: readonly Network[];
  readonly deny: readonly Network[];
  /** What becomes of those who may not ask. */
  readonly denied: "refuse" | "ignore";
  /** Undefined for no limit. */
  readonly rate: Rate | undefined;
  /** Whom the limit does not concern. */
  readonly exempt: readonly Network[];
}

/**
 * Refusals over UDP to all clients together and each second, and as many truncated answers: a flood from many addresses
 * is met with silence beyond it, so that its cost is that of reading and no more than this is reflected. Each has its own,
 * so that a flood of those who may not ask does not keep those who may from being sent to TCP.
 */
const COURTESY: Rate = { perSecond: 1000, burst: 1000 };
const [REFUSALS, TRUNCATED] = [0, 1];

/** Who may ask, and how much. Nothing is allocated for a packet, whoever sent it. */
export class Admission {
  readonly #denied: AdmissionOptions["denied"];
  readonly #allowed: NetworkTable<boolean>;
  readonly #exempt: NetworkTable<true>;
  readonly #limit: RateLimit | undefined;
  readonly #courtesy = new TokenBuckets(COURTESY, 2);
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

  /** Whether a client at this address may ask at all, however much; if not, what becomes of its queries. */
  access(address: string): "answer" | AdmissionOptions["denied"] {
    return this.#allowed.find(this.#address.read(address)) === true ? "answer" : this.#denied;
  }

  admit({ address, transport }: Client, now: number): Verdict {
    return this.admitFrom(this.#address.read(address), transport, now);
  }

  admitFrom(words: IpAddress, transport: Client["transport"], now: number): Verdict {
    if (this.#allowed.find(words) !== true) {
      return this.#denied === "refuse" && this.#mayTell(REFUSALS, transport, now) ? "refuse" : "ignore";
    }
    if (!this.#limit || this.#exempt.find(words)) return "answer";
    switch (this.#limit.take(words, transport, now)) {
      case "within":
        return "answer";
      case "over":
        return this.#mayTell(TRUNCATED, transport, now) ? "truncate" : "drop";
      case "far over":
        return "drop";
    }
  }

  #mayTell(what: number, transport: Client["transport"], now: number): boolean {
    return transport === "tcp" || this.#courtesy.take(what, now); // whoever has a connection has shown his address
  }
}
