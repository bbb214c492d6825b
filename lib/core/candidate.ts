/**
 * An upstream as the balancer sees it, and the callback by which the upstream reports a slow query to the balancer.
 */

import type { Message } from "../dns/message.ts";
import type { Query, Resolver } from "./resolver.ts";

/** Decides whether a slow query is also sent to another upstream. */
export interface HedgeTrigger {
  /**
   * Called when the query has waited longer than this upstream's responses usually take, and once more when half of its
   * time is over (`isLate`). `withoutBudget`: the extra query is not charged to the hedge budget, because the first one has
   * not been sent yet, because its connection is stalled with many others, or because half of its time is over.
   */
  onSlow(slow: { readonly withoutBudget: boolean; readonly isLate: boolean }): void;
}

/** One of several upstreams between which the balancer chooses. */
export interface Candidate extends Resolver {
  readonly label: string;
  /** Its share of the queries, in proportion to the weights of the other candidates. */
  readonly weight: number;
  /** False while the upstream backs off, or while its best connection is stalled. */
  readonly usable: boolean;
  /** Expected time to the next response in ms, including the handshake if one is needed. */
  readonly expectedLatencyMs: number;
  /** Time of the last query, in ms of the monotonic clock. */
  readonly lastQueryAt: number;

  /** Sends the query, and sends it again after any failure that permits a retry. For queries without an alternative. */
  resolve(query: Query): Promise<Message>;

  /**
   * Sends the query, and sends it again only if its connection was closed. Any other failure rejects at once, because
   * the caller can try another candidate. Calls the trigger while the response is slow.
   */
  exchange(query: Query, trigger: HedgeTrigger): Promise<Message>;
}
