/** A client's query on its way through one upstream, over as many connections as it takes. */

import { Rcode } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import type { UpstreamError } from "../../core/errors.ts";
import type { HedgeTrigger } from "../../core/candidate.ts";
import type { Query } from "../../core/resolver.ts";
import type { PendingQuery } from "./pending_queries.ts";

/** "MUST NOT retry a given query … more than twice (i.e., three queries in total)" (RFC 9520 §3.1). */
const MAX_SENT = 3;

/** Called when a connection has rejected the query: sends it again, or calls `fail`. */
export type Retry = (retried: RetriedQuery, error: UpstreamError) => void;

/**
 * A query that is sent again after a failure. A copy of it may wait on another connection at the same time: the first
 * answer completes the query, and only the last failure fails it.
 */
export class RetriedQuery implements PendingQuery {
  sentAt = 0;
  slowAt = 0;
  lateAt = 0;
  trigger: HedgeTrigger | undefined;
  readonly query: Query;
  /** When the upstream got the query, in ms. */
  readonly startedAt: number;
  /** The client's network as a number of `ClientShares`. */
  readonly network: number;
  /** Whether the next attempt takes an isolated connection, because the server may close connections over this query. */
  isSuspect = false;
  /** The value of `trigger` at the start of each attempt. */
  readonly #hedge: HedgeTrigger | undefined;
  readonly #resolve: (response: Message) => void;
  readonly #reject: (error: unknown) => void;
  readonly #retry: Retry;
  /** Number of attempts that failed after the query was sent. */
  #failures = 0;
  /** The query of which this one is a copy. */
  #original: RetriedQuery | undefined;
  /** Of an original: number of pending queries, itself and its copies. */
  #pendingCopies = 1;
  /** Of an original: whether it or a copy was answered. */
  #isAnswered = false;

  constructor(
    query: Query,
    hedge: HedgeTrigger | undefined,
    { startedAt, network, resolve, reject, retry }: {
      startedAt: number;
      network: number;
      resolve: (response: Message) => void;
      reject: (error: unknown) => void;
      retry: Retry;
    },
  ) {
    this.query = query;
    this.startedAt = startedAt;
    this.network = network;
    this.trigger = this.#hedge = hedge;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#retry = retry;
  }

  get message(): Message {
    return this.query.message;
  }

  get deadline(): number {
    return this.query.deadline;
  }

  /** Counts an attempt. The trigger may be called again. */
  beginAttempt(): void {
    this.query.trace.attempts++;
    this.trigger = this.#hedge;
  }

  resolve(response: Message): void {
    (this.#original ?? this).#isAnswered = true;
    this.#resolve(response);
  }

  reject(error: UpstreamError): void {
    this.#retry(this, error);
  }

  /** Gives up. Fails the query unless a copy is still pending. */
  fail(error: unknown): void {
    const original = this.#original ?? this;
    if (--original.#pendingCopies === 0) original.#reject(error);
  }

  /** Counts a failure. Returns whether another attempt may follow. */
  noteFailure(error: UpstreamError, now: number): boolean {
    if ((this.#original ?? this).#isAnswered) return false;
    // With a trigger, the balancer sends the query to another upstream, unless only the connection was closed.
    if (!error.isRetryable || this.#hedge && error.failure !== "closed") return false;
    if (error.sent) this.#failures++;
    return this.#failures < MAX_SENT && now < this.deadline;
  }

  /** Whether the query may be sent only once more. */
  get isLastAttempt(): boolean {
    return this.#failures === MAX_SENT - 1;
  }

  /** A copy for another connection, while this one is still pending. Undefined if no further attempt is allowed. */
  copy(now: number): RetriedQuery | undefined {
    if (this.#failures + 1 >= MAX_SENT || now >= this.deadline) return undefined;
    const { query, startedAt, network } = this;
    const original = this.#original ?? this;
    const copy = new RetriedQuery(query, this.#hedge, {
      startedAt,
      network,
      resolve: this.#resolve,
      reject: this.#reject,
      retry: this.#retry,
    });
    copy.#original = original;
    copy.#failures = this.#failures + 1;
    copy.isSuspect = copy.isLastAttempt;
    original.#pendingCopies++;
    this.trigger = undefined; // the copy calls it from now on
    return copy;
  }
}

/**
 * The words of a response that refuses our EDNS; undefined for other responses.
 *
 * Such a response is a failure and no answer. EDNS is hop by hop (RFC 6891 §6.1.1), so the client cannot do anything about
 * it. The query is not sent again without EDNS, although RFC 6891 §6.2.2 allows it ("MAY"): without padding (RFC 7830) its
 * length would reveal the name, and without DO "if DNSSEC … is required, no fallback should be performed".
 */
export function ednsRefusal(response: Message): string | undefined {
  const { rcode } = response;
  // RFC 6891 §6.1.3: the server does not support version 0, "the lowest implemented level".
  if (rcode === Rcode.BADVERS) return "BADVERS";
  // RFC 6891 §7: a server without EDNS responds FORMERR "and MUST NOT include an OPT record". With an OPT record, FORMERR
  // concerns the question.
  if (rcode === Rcode.FORMERR && !response.edns) return "FORMERR without an OPT record";
  return undefined;
}
