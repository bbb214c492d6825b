import type { Message } from "../../../lib/dns/message.ts";
import { UpstreamError } from "../../../lib/core/errors.ts";
import { Balancer } from "../../../lib/resolver/balance/balancer.ts";
import type { Query } from "../../../lib/core/resolver.ts";
import { selectionPolicy, type StrategyName } from "../../../lib/resolver/balance/selection.ts";
import { asking, candidates, type FakeCandidate } from "./candidate.ts";

/** A balancer over fake candidates, which are asked in their order by default. */
export class Dispatching {
  readonly all: FakeCandidate[];
  readonly dispatcher: Balancer;
  now = 0;

  constructor(count: number, name: StrategyName = "failover") {
    this.all = candidates(count);
    const now = () => this.now;
    this.dispatcher = new Balancer({ candidates: this.all, selection: selectionPolicy(name, now), now });
  }

  /** How often each was asked. */
  get asked(): number[] {
    return this.all.map(({ attempts }) => attempts.length);
  }

  /** Asks, and returns the answer's code or the failure, with its candidate. */
  ask(query: Query = asking("name.test", 4_000)): { outcome: string; response?: Message } {
    const fate: { outcome: string; response?: Message } = { outcome: "waiting" };
    const who = () => query.trace.upstream;
    this.dispatcher.resolve(query).then(
      (response) => Object.assign(fate, { outcome: `${response.rcode} from ${who()}`, response }),
      (error) => fate.outcome = error instanceof UpstreamError ? `${error.failure} at ${who()}` : `${error}`,
    );
    return fate;
  }
}
