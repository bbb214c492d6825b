import { Flag } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { Candidate, HedgeTrigger } from "../../core/candidate.ts";
import type { Query, Resolver } from "../../core/resolver.ts";
import type { SelectionPolicy } from "./selection.ts";
import { explain, isBogus, isPoor, mayBeBogus } from "../upstream_validation.ts";

export interface BalancerOptions {
  readonly candidates: readonly Candidate[];
  readonly strategy: SelectionPolicy;
  readonly now: () => number;
}

/**
 * Several upstreams as one: a query fails only when each of them has failed it, when its time is up, or when the first
 * that fails it does so because the data does not validate.
 */
export class Balancer implements Resolver {
  readonly #options: BalancerOptions;
  readonly #budget = new HedgeBudget();

  constructor(options: BalancerOptions) {
    this.#options = options;
  }

  resolve(query: Query): Promise<Message> {
    const { candidates, strategy, now } = this.#options;
    if (candidates.length === 1) return resolveAlone(query, candidates[0]!, now);
    this.#budget.earn();
    return new BalancedQuery(query, strategy.order(query, candidates), {
      budget: strategy.hedged ? this.#budget : undefined,
      now,
    }).run(strategy.parallel);
  }
}

function resolveAlone(query: Query, only: Candidate, now: () => number): Promise<Message> {
  query.trace.upstream = only.label;
  const answer = only.resolve(query);
  if (!query.hasFallback) return answer;
  return answer.then((response) =>
    mayBeBogus(query.message, response) ? explain(query, response, only, now()) : response
  );
}

interface BalancedQueryOptions {
  /** Undefined where slow upstreams are waited for. */
  readonly budget: HedgeBudget | undefined;
  readonly now: () => number;
}

interface Outcome {
  readonly response: Message;
  readonly label: string;
}

/** One query and its attempts, each at another upstream; the first good answer wins. */
class BalancedQuery implements HedgeTrigger {
  readonly #query: Query;
  readonly #order: readonly Candidate[];
  readonly #options: BalancedQueryOptions;
  readonly #outcome = Promise.withResolvers<Message>();
  #next = 0;
  #running = 0;
  #settled = false;
  /** An answer that says the upstream could not: it will do if nobody knows better. */
  #poor: Outcome | undefined;
  /** How many failures are being explained; until they are, an answer that was not validated does not win. */
  #explaining = 0;
  #held: Outcome | undefined;

  constructor(query: Query, order: readonly Candidate[], options: BalancedQueryOptions) {
    this.#query = query;
    this.#order = order;
    this.#options = options;
  }

  run(parallel: number): Promise<Message> {
    for (let i = 0; i < parallel; i++) this.#attempt();
    return this.#outcome.promise;
  }

  onSlow({ withoutBudget }: { readonly withoutBudget: boolean }): void {
    if (this.#settled || !this.#order[this.#next]?.usable) return;
    const { budget } = this.#options;
    const { trace } = this.#query;
    if ((withoutBudget || budget?.spend()) && this.#attempt()) trace.hedges = (trace.hedges ?? 0) + 1;
  }

  #attempt(): boolean {
    const candidate = this.#order[this.#next];
    if (!candidate) return false;
    this.#next++;
    this.#running++;
    candidate.exchange(this.#query, this).then(
      (response) => this.#answered(response, candidate),
      (error) => this.#failed(error, candidate),
    );
    return true;
  }

  #answered(response: Message, candidate: Candidate): void {
    if (!this.#settled && this.#needsReason(response)) this.#explain(response, candidate);
    else this.#judge({ response, label: candidate.label });
  }

  /** Whether a failure might be covered up: by another upstream, or by what the cache has. */
  #needsReason(response: Message): boolean {
    const isFirst = this.#poor === undefined && this.#explaining === 0;
    const mayBeCovered = isFirst || this.#query.hasFallback === true;
    return mayBeCovered && mayBeBogus(this.#query.message, response);
  }

  /** The attempt counts as running meanwhile. */
  #explain(failure: Message, candidate: Candidate): void {
    this.#explaining++;
    explain(this.#query, failure, candidate, this.#options.now()).finally(() => this.#explaining--).then(
      (response) => this.#judge({ response, label: candidate.label }),
      (error) => this.#failed(error, candidate),
    );
  }

  #judge(outcome: Outcome): void {
    this.#running--;
    if (this.#settled) return;
    const { response } = outcome;
    if (isBogus(response)) return this.#settle(outcome);
    if (isPoor(response)) return this.#seekAnother(outcome);
    // What was validated cannot be what the upstream in question refuses.
    if (this.#explaining === 0 || (response.flags & Flag.AD) !== 0) return this.#settle(outcome);
    this.#held ??= outcome;
  }

  #seekAnother(outcome: Outcome): void {
    const isFirst = this.#poor === undefined;
    this.#poor ??= outcome;
    if (this.#explaining > 0) return;
    if (this.#held) return this.#settle(this.#held);
    // With another attempt under way already, there is nothing to start.
    if (this.#running > 0 || isFirst && this.#attempt()) return;
    this.#settle(this.#poor);
  }

  #failed(error: unknown, { label }: Candidate): void {
    this.#running--;
    if (this.#settled) return;
    if (error instanceof UpstreamError && this.#options.now() < this.#query.deadline && this.#attempt()) {
      return;
    }
    if (this.#running > 0) return;
    const outcome = this.#held ?? this.#poor;
    if (outcome) return this.#settle(outcome);
    this.#settled = true;
    this.#query.trace.upstream = label;
    this.#outcome.reject(error);
  }

  #settle({ response, label }: Outcome): void {
    this.#settled = true;
    this.#query.trace.upstream = label;
    this.#outcome.resolve(response);
  }
}

/** Extra queries for each query: 5 %. */
const SHARE = 0.05;
/** What can be saved up, and what is there at the start. */
const MOST = 100;
const START = 10;

/** Keeps the extra load of second attempts to a small share, however slow the upstreams are. */
export class HedgeBudget {
  #left = START;

  /** Counts a query, which earns its share of an extra one. */
  earn(): void {
    this.#left = Math.min(this.#left + SHARE, MOST);
  }

  /** Whether an extra query may be sent, which is then counted as sent. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
