import type { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { Balancer } from "../../../lib/resolver/balance/balancer.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { selectionPolicy, type StrategyName } from "../../../lib/resolver/balance/selection.ts";
import { asking, candidates, type FakeCandidate } from "./candidate.ts";

/** A balancer over fake candidates, in their given order by default. */
export class BalancerFixture {
  readonly all: FakeCandidate[];
  readonly balancer: Balancer;
  now = 0;

  constructor(count: number, name: StrategyName = "failover") {
    this.all = candidates(count);
    const now = () => this.now;
    this.balancer = new Balancer({ candidates: this.all, selection: selectionPolicy(name, now), now });
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
