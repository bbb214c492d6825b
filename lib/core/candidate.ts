import type { Message } from "../dns/message.ts";
import type { Query } from "./resolver.ts";

/** Whoever asked an upstream and has others to turn to. */
export interface HedgeTrigger {
  /**
   * The query has waited longer than this upstream's answers usually take. To ask another is an extra query, unless it
   * is free: this one has not left yet, or half of its time is over.
   */
  onSlow(attempt: { readonly isFree: boolean }): void;
}

/** One of several upstreams, as whoever chooses among them sees it. */
export interface Candidate {
  readonly label: string;
  /** Its share where queries are shared out, in relation to the others'. */
  readonly weight: number;
  /** Whether there is no reason to think that it would not answer. */
  readonly usable: boolean;
  /** How long an answer can be expected to take now, in ms; a handshake is part of it where one is needed. */
  readonly expectedLatency: number;
  /** When it was last asked, in ms on the one clock. */
  readonly askedAt: number;

  /**
   * As `Resolver.resolve`. With an asker, a query that has been sent is sent again to this upstream only where its
   * connection was closed, which is normal life; any other failure rejects, because there are others to ask.
   */
  resolve(query: Query, asker?: HedgeTrigger): Promise<Message>;
}
