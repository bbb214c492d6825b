import { Rcode } from "../dns/codes.ts";
import type { Message } from "../dns/message.ts";
import { UpstreamError } from "../errors.ts";
import type { Asker, Candidate } from "./candidate.ts";
import { HedgeBudget } from "./hedge_budget.ts";
import type { Query, Resolver } from "./resolver.ts";
import type { Strategy } from "./strategy.ts";

export interface DispatcherOptions {
  readonly candidates: readonly Candidate[];
  readonly strategy: Strategy;
  readonly now: () => number;
}

/** Several upstreams as one: a query fails only when each of them has failed it, or when its time is up. */
export class Dispatcher implements Resolver {
  readonly #options: DispatcherOptions;
  readonly #budget = new HedgeBudget();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  resolve(query: Query): Promise<Message> {
    const { candidates, strategy, now } = this.#options;
    this.#budget.earn();
    return new Dispatch(query, strategy.order(query, candidates), {
      budget: strategy.hedged ? this.#budget : undefined,
      now,
    }).run(strategy.parallel);
  }
}

interface DispatchOptions {
  /** Undefined where slow upstreams are waited for. */
  readonly budget: HedgeBudget | undefined;
  readonly now: () => number;
}

/** One query and its attempts, each at another upstream; the first good answer wins. */
class Dispatch implements Asker {
  readonly #query: Query;
  readonly #order: readonly Candidate[];
  readonly #options: DispatchOptions;
  readonly #outcome = Promise.withResolvers<Message>();
  #next = 0;
  #running = 0;
  #settled = false;
  /** An answer that says the upstream could not: it will do if nobody knows better. */
  #poor: { readonly response: Message; readonly label: string } | undefined;

  constructor(query: Query, order: readonly Candidate[], options: DispatchOptions) {
    this.#query = query;
    this.#order = order;
    this.#options = options;
  }

  run(parallel: number): Promise<Message> {
    for (let i = 0; i < parallel; i++) this.#attempt();
    return this.#outcome.promise;
  }

  overdue({ isFree }: { readonly isFree: boolean }): void {
    if (this.#settled || !this.#order[this.#next]?.usable) return;
    const { budget } = this.#options;
    const { trace } = this.#query;
    if ((isFree || budget?.spend()) && this.#attempt()) trace.hedges = (trace.hedges ?? 0) + 1;
  }

  #attempt(): boolean {
    const candidate = this.#order[this.#next];
    if (!candidate) return false;
    this.#next++;
    this.#running++;
    const asker = this.#order.length > 1 ? this : undefined;
    candidate.resolve(this.#query, asker).then(
      (response) => this.#answered(response, candidate),
      (error) => this.#failed(error, candidate),
    );
    return true;
  }

  #answered(response: Message, { label }: Candidate): void {
    this.#running--;
    if (this.#settled) return;
    if (!isWorthASecondOpinion(response)) return this.#settle({ response, label });
    const isFirst = this.#poor === undefined;
    this.#poor ??= { response, label };
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
    if (this.#poor) return this.#settle(this.#poor);
    this.#settled = true;
    this.#query.trace.upstream = label;
    this.#outcome.reject(error);
  }

  #settle({ response, label }: { readonly response: Message; readonly label: string }): void {
    this.#settled = true;
    this.#query.trace.upstream = label;
    this.#outcome.resolve(response);
  }
}

/**
 * SERVFAIL and REFUSED can be one upstream's own trouble. Data that fails validation is not: "DNSSEC Bogus" and its
 * kind (RFC 8914 §4.7 to §4.13) would be the same elsewhere, or worse, not be noticed.
 */
function isWorthASecondOpinion(response: Message): boolean {
  const rcode = response.rcode;
  if (rcode !== Rcode.SERVFAIL && rcode !== Rcode.REFUSED) return false;
  const codes = response.edns?.extendedErrors().map((option) => option[4]! << 8 | option[5]!) ?? [];
  return !codes.some((code) => code >= 6 && code <= 12);
}
