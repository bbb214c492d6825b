import { Rcode } from "../../dns/codes.ts";
import type { Message } from "../../dns/message.ts";
import type { UpstreamError } from "../../core/errors.ts";
import type { HedgeTrigger } from "../../core/candidate.ts";
import type { Query } from "../../core/resolver.ts";
import type { PendingQuery } from "./pending_queries.ts";

/** "MUST NOT retry a given query … more than twice (i.e., three queries in total)" (RFC 9520 §3.1). */
const MAX_SENT = 3;

/** What there is to be done when an attempt has failed. */
export type Retry = (attempt: RetriedQuery, error: UpstreamError) => void;

/** One query's way to its answer, over as many connections as it takes, with a single promise at the end of it. */
export class RetriedQuery implements PendingQuery {
  sentAt = 0;
  slowAt = 0;
  lateAt = 0;
  id = 0;
  older: PendingQuery | undefined;
  younger: PendingQuery | undefined;
  readonly query: Query;
  /** When the query came, in ms. */
  readonly startedAt: number;
  /** The client's network: see `ClientShares`. */
  readonly network: number;
  /** Whoever asks several upstreams, as it is to be told anew at each attempt. */
  readonly hedge: HedgeTrigger | undefined;
  trigger: HedgeTrigger | undefined;
  /** Whether the next try is on a connection of its own: this query may be what ends the connections it is sent on. */
  isSuspect = false;
  readonly #resolve: (response: Message) => void;
  readonly #reject: (error: unknown) => void;
  readonly #again: Retry;
  /** How often the query was sent without success. */
  #failures = 0;
  /** The attempt that this one is a copy of. */
  #original: RetriedQuery | undefined;
  /** Of an original: how many places its query waits in, itself and copies. The last one to fail fails the query. */
  #places = 1;

  constructor(
    query: Query,
    trigger: HedgeTrigger | undefined,
    { begunAt, network, resolve, reject, again }: {
      begunAt: number;
      network: number;
      resolve: (response: Message) => void;
      reject: (error: unknown) => void;
      again: Retry;
    },
  ) {
    this.query = query;
    this.startedAt = begunAt;
    this.network = network;
    this.hedge = this.trigger = trigger;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#again = again;
  }

  get message(): Message {
    return this.query.message;
  }

  get deadline(): number {
    return this.query.deadline;
  }

  /** The first of the copies to be answered answers the query. */
  resolve(response: Message): void {
    this.#resolve(response);
  }

  reject(error: UpstreamError): void {
    this.#again(this, error);
  }

  /** Ends this attempt; the query fails unless a copy of it still waits elsewhere. */
  fail(error: unknown): void {
    const original = this.#original ?? this;
    if (--original.#places === 0) original.#reject(error);
  }

  /** Counts a failure and decides whether another attempt may follow. */
  noteFailure(error: UpstreamError, now: number): boolean {
    // A query with a trigger turns to another upstream, unless only its connection was closed.
    if (!error.isRetryable || this.hedge && error.failure !== "closed") return false;
    if (error.sent) this.#failures++;
    return this.#failures < MAX_SENT && now < this.deadline;
  }

  /** Whether it may be sent only once more. */
  get isLastAttempt(): boolean {
    return this.#failures === MAX_SENT - 1;
  }

  /**
   * The same query for another connection, while this one still waits: both can answer it. Undefined where the query has
   * been sent as often as it may.
   */
  copy(now: number): RetriedQuery | undefined {
    if (this.#failures + 1 >= MAX_SENT || now >= this.deadline) return undefined;
    const { query, startedAt: begunAt, network, hedge } = this;
    const original = this.#original ?? this;
    const copy = new RetriedQuery(query, hedge, {
      begunAt,
      network,
      resolve: this.#resolve,
      reject: this.#reject,
      again: this.#again,
    });
    copy.#original = original;
    copy.#failures = this.#failures + 1;
    copy.isSuspect = copy.isLastAttempt;
    original.#places++;
    this.trigger = undefined; // the copy reminds it from now on
    return copy;
  }
}

/**
 * The words by which an upstream says that it does not take EDNS as we speak it; undefined where it does not say so.
 *
 * That is a failure and no answer: EDNS is hop by hop (RFC 6891 §6.1.1), and no client can do anything about what another
 * hop thinks of our OPT record. The query is not sent again without EDNS, which RFC 6891 §6.2.2 allows ("MAY"): it would
 * have no padding (RFC 7830), and so show by its length what was asked for, and no DO ("if DNSSEC … is required, no
 * fallback should be performed").
 */
export function ednsRefusal(response: Message): string | undefined {
  const { rcode } = response;
  // RFC 6891 §6.1.3: it does not know version 0, "the lowest implemented level".
  if (rcode === Rcode.BADVERS) return "BADVERS";
  // RFC 6891 §7: who knows no EDNS says FORMERR "and MUST NOT include an OPT record"; with one, it is about the question.
  if (rcode === Rcode.FORMERR && !response.edns) return "FORMERR without an OPT record";
  return undefined;
}
