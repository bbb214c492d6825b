/**
 * The balancer sends a query to one of several upstreams, to the next one after a failure, and to another one as well if
 * the response is slow (hedging). The selection policy decides the order. Upstreams are `Candidate`s here.
 */

import { Flag } from "../../dns/header.ts";
import type { Message } from "../../dns/message.ts";
import { UpstreamError } from "../../core/errors.ts";
import type { Candidate, HedgeTrigger } from "../../core/candidate.ts";
import type { Query, Resolver } from "../../core/resolver.ts";
import type { SelectionPolicy } from "./selection.ts";
import { explain, isBogus, isPoor, mayBeBogus } from "../upstream_validation.ts";

/** Extra queries that each query adds to the hedge budget: 5 %. */
const EARNED_PER_QUERY = 0.05;
/** Maximum of extra queries that the budget can save up. */
const MAX_SAVED_QUERIES = 100;
/** Extra queries available at the start. */
const INITIAL_QUERIES = 10;

export interface BalancerOptions {
  readonly candidates: readonly Candidate[];
  readonly selection: SelectionPolicy;
  readonly now: () => number;
}

/**
 * Several upstreams as one resolver. A query fails if all of them fail it, if its deadline passes, or if the first failure
 * is one of DNSSEC validation.
 */
export class Balancer implements Resolver {
  readonly #options: BalancerOptions;
  readonly #budget = new HedgeBudget();

  constructor(options: BalancerOptions) {
    this.#options = options;
  }

  resolve(query: Query): Promise<Message> {
    const { candidates, selection, now } = this.#options;
    if (candidates.length === 1) return resolveAlone(query, candidates[0]!, now);
    this.#budget.earn();
    return new BalancedQuery(query, selection.order(query, candidates), {
      budget: selection.hedged ? this.#budget : undefined,
      now,
    }).run(selection.parallel);
  }
}

/** Sends the query to the only candidate, which then retries by itself. */
function resolveAlone(query: Query, only: Candidate, now: () => number): Promise<Message> {
  query.trace.upstream = only.label;
  const answer = only.resolve(query);
  if (!query.hasFallback) return answer;
  return answer.then((response) =>
    mayBeBogus(query.message, response) ? explain(query, response, only, now()) : response
  );
}

interface BalancedQueryOptions {
  /** Undefined if the selection policy does not hedge. */
  readonly budget: HedgeBudget | undefined;
  readonly now: () => number;
}

interface Outcome {
  readonly response: Message;
  readonly label: string;
}

/** One query and its attempts, each at another candidate. The first good response wins. */
class BalancedQuery implements HedgeTrigger {
  readonly #query: Query;
  readonly #order: readonly Candidate[];
  readonly #options: BalancedQueryOptions;
  readonly #outcome = Promise.withResolvers<Message>();
  /** Index of the next candidate in the order. */
  #next = 0;
  /** Number of attempts without an outcome. */
  #running = 0;
  #settled = false;
  /** The first SERVFAIL or REFUSED. It is the outcome if no other candidate has a better response. */
  #poor: Outcome | undefined;
  /** Number of failures that `explain` examines. Meanwhile a response without validation cannot win. */
  #explaining = 0;
  /** The first response that waits for these examinations. */
  #held: Outcome | undefined;

  constructor(query: Query, order: readonly Candidate[], options: BalancedQueryOptions) {
    this.#query = query;
    this.#order = order;
    this.#options = options;
  }

  /** Starts this many attempts at once. Call it only once. */
  run(parallel: number): Promise<Message> {
    for (let i = 0; i < parallel; i++) this.#attempt();
    return this.#outcome.promise;
  }

  onSlow({ withoutBudget, isLate }: { readonly withoutBudget: boolean; readonly isLate: boolean }): void {
    if (this.#settled || !this.#order[this.#next]?.usable) return;
    const { budget } = this.#options;
    const { trace } = this.#query;
    // A selection policy without hedges moves to the next candidate only when half of the time is over.
    const mayHedge = budget ? withoutBudget || budget.spend() : isLate;
    if (mayHedge && this.#attempt()) trace.hedges = (trace.hedges ?? 0) + 1;
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

  /**
   * Whether the reason of this failure must be known, because another upstream's response or a stale cache entry could
   * replace it. A failure of validation must not be replaced.
   */
  #needsReason(response: Message): boolean {
    const isFirst = this.#poor === undefined && this.#explaining === 0;
    const mayBeCovered = isFirst || this.#query.hasFallback === true;
    return mayBeCovered && mayBeBogus(this.#query.message, response);
  }

  /** Finds the reason of a failure. The attempt counts as running until then. */
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
    // The failing upstream cannot have rejected data that another upstream has validated.
    if (this.#explaining === 0 || (response.flags & Flag.AD) !== 0) return this.#settle(outcome);
    this.#held ??= outcome;
  }

  #seekAnother(outcome: Outcome): void {
    const isFirst = this.#poor === undefined;
    this.#poor ??= outcome;
    if (this.#explaining > 0) return;
    if (this.#held) return this.#settle(this.#held);
    // A running attempt may still bring a better response.
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

/** Limits extra queries to a small share of all queries, no matter how slow the upstreams are. */
export class HedgeBudget {
  /** Extra queries that may be sent now. */
  #available = INITIAL_QUERIES;

  /** Counts one query, which earns a share of an extra query. */
  earn(): void {
    this.#available = Math.min(this.#available + EARNED_PER_QUERY, MAX_SAVED_QUERIES);
  }

  /** Takes one extra query out of the budget. Returns whether there was one. */
  spend(): boolean {
    if (this.#available < 1) return false;
    this.#available--;
    return true;
  }
}
