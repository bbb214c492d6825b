import type { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { Balancer } from "../../../lib/resolver/balance/balancer.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import {
  type SelectionPolicy,
  selectionPolicy,
  type StrategyName,
} from "../../../lib/resolver/balance/selection.ts";
import { asking, candidates, type FakeCandidate } from "./candidate.ts";

/** Asks in the order given, as "failover" does, but hedges. */
function inOrder(now: () => number): SelectionPolicy {
  return { ...selectionPolicy("failover", now), hedged: true };
}

/** A balancer over fake candidates, which are asked in their order and hedged by default. */
export class BalancerFixture {
  readonly all: FakeCandidate[];
  readonly balancer: Balancer;
  now = 0;

  constructor(count: number, name?: StrategyName) {
    this.all = candidates(count);
    const now = () => this.now;
    const selection = name ? selectionPolicy(name, now) : inOrder(now);
    this.balancer = new Balancer({ candidates: this.all, selection, now });
  }

  /** The number of attempts at each candidate. */
  get asked(): number[] {
    return this.all.map(({ attempts }) => attempts.length);
  }

  /** Sends a query. Returns its outcome: the RCODE or the failure, and its candidate. */
  ask(query: Query = asking("name.test", 4_000)): { outcome: string; response?: Message } {
    const fate: { outcome: string; response?: Message } = { outcome: "waiting" };
    const who = () => query.trace.upstream;
    this.balancer.resolve(query).then(
      (response) => Object.assign(fate, { outcome: `${response.rcode} from ${who()}`, response }),
      (error) => fate.outcome = error instanceof UpstreamError ? `${error.failure} at ${who()}` : `${error}`,
    );
    return fate;
  }
}
