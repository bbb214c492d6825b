/** The queries of one connection that have no answer yet: those that were sent, and those that wait to be sent. */

import { assert } from "../../core/assert.ts";
import { MAX_EXAMINED } from "../../core/client_shares.ts";
import type { Message } from "../../dns/message.ts";
import type { Failure, UpstreamError } from "../../core/errors.ts";
import type { HedgeTrigger } from "../../core/candidate.ts";
import { MessageIds, QueryTable } from "./query_table.ts";

/** A sweep skips younger queries: they are neither slow nor, almost always, at their deadline. */
const MIN_AGE_MS = 40;
/** Few slow queries may all be for one name. This many on a stalled connection prove that the connection is slow. */
const MANY = 8;
/** A connection on which nothing was sent since the last answer is stalled after this time without another answer. */
const MAX_SILENCE_MS = 1000;

/** A query that waits for its answer. Times are in ms of the monotonic clock. */
export interface PendingQuery {
  readonly message: Message;
  readonly deadline: number;
  /** Called at `slowAt`, then at `lateAt`; undefined where there is no other upstream, and after the last call. */
  trigger: HedgeTrigger | undefined;
  slowAt: number;
  /** When half of the query's time is over. */
  lateAt: number;
  sentAt: number;
  /** One of these is called, once, each time the query is sent. */
  resolve(response: Message): void;
  reject(error: UpstreamError): void;
}

/** Creates the error of a query that is given up. */
export type Reject = (failure: Failure, facts: { readonly sent: boolean }) => UpstreamError;

/** The code that removes a pending query completes it: each method that removes one either rejects it or says so. */
export class PendingQueries {
  /** Whether a query is slow and no answer has arrived since. New queries had better take another connection. */
  isStalled = false;
  readonly #error: Reject;
  readonly #ids = new MessageIds();
  readonly #sent = new QueryTable<PendingQuery>();
  /** In the order of their deadlines. */
  #unsent: PendingQuery[] = [];
  /** When abandoned queries were sent, by ID: a late answer is still a sample of the latency. */
  readonly #abandonedSentAt = new Map<number, number>();
  /** Start of the time without an answer while queries wait. Abandoned queries do not end it. */
  #silentSince: number | undefined;
  /** The first query sent since the last answer. Queries before it may be slow on a connection that is alive. */
  #firstUnanswered: PendingQuery | undefined;

  constructor(error: Reject) {
    this.#error = error;
  }

  get size(): number {
    return this.#sent.size + this.#unsent.length;
  }

  get sent(): number {
    return this.#sent.size;
  }

  get abandoned(): number {
    return this.#sent.abandoned;
  }

  /** Adds a query that cannot be sent yet, in the order of deadlines: it may have waited on another connection before. */
  add(pending: PendingQuery): void {
    let at = this.#unsent.length;
    while (at > 0 && this.#unsent[at - 1]!.deadline > pending.deadline) at--;
    this.#unsent.splice(at, 0, pending);
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** Removes the unsent query with the earliest deadline, for the caller to send. Precondition: `hasUnsent`. */
  takeUnsent(): PendingQuery {
    assert(this.#unsent.length > 0, "a query waits to be sent");
    return this.#unsent.shift()!;
  }

  /** Moves a query to those that were sent, and returns its message ID. */
  markSent(pending: PendingQuery, now: number): number {
    const id = this.#ids.draw(this.#sent);
    pending.sentAt = now;
    this.#silentSince ??= now;
    this.#firstUnanswered ??= pending;
    this.#sent.add(id, pending);
    return id;
  }

  /** The query that was sent under this ID. */
  find(id: number): PendingQuery | undefined {
    return this.#sent.get(id);
  }

  /** Removes a query that has an answer, good or bad, for the caller to complete. Frees its ID. */
  remove(id: number, now: number): void {
    this.#sent.remove(id);
    this.#noteAnswer(now);
  }

  /** Rejects a query that has waited too long. Its ID stays in use, because the answer may still arrive. */
  abandon(id: number, error: UpstreamError): void {
    const pending = this.#sent.get(id)!;
    this.#sent.abandon(id);
    this.#abandonedSentAt.set(id, pending.sentAt);
    pending.reject(error);
  }

  /** Notes the answer to an abandoned query and frees its ID. Returns when the query was sent, undefined for other IDs. */
  receiveLate(id: number, now: number): number | undefined {
    const sentAt = this.#abandonedSentAt.get(id);
    if (sentAt === undefined) return undefined;
    this.#abandonedSentAt.delete(id);
    this.#sent.release(id);
    this.#noteAnswer(now);
    return sentAt;
  }

  /**
   * Rejects queries at their deadline, calls the triggers of slow ones, and detects a stall.
   *
   * @param slowAfter time after which a sent query is slow, in ms
   */
  sweep(now: number, slowAfter: number): void {
    if (now - (this.#firstUnanswered?.sentAt ?? now) >= slowAfter) this.isStalled = true;
    if (now - (this.#silentSince ?? now) >= MAX_SILENCE_MS) this.isStalled = true;
    const withoutBudget = this.isStalled && this.#sent.size >= MANY;
    for (let id = this.#sent.oldestId; id >= 0;) {
      const pending = this.#sent.get(id);
      if (!pending || pending.sentAt > now - MIN_AGE_MS) break; // a trigger may have let another query evict this one
      const next = this.#sent.nextId(id);
      if (pending.deadline > now) callTrigger(pending, now, withoutBudget);
      else this.abandon(id, this.#error("timed out", { sent: true }));
      id = next;
    }
    if (this.#sent.size === 0 && !this.isStalled) this.#silentSince = undefined;
    if (this.#unsent.length > 0) this.#sweepUnsent(now);
  }

  /** Rejects the oldest sent query that is evictable. Returns whether there was one among the first. */
  evictOldest(isEvictable: (pending: PendingQuery) => boolean, error: UpstreamError): boolean {
    let left = MAX_EXAMINED;
    for (let id = this.#sent.oldestId; id >= 0 && left > 0; id = this.#sent.nextId(id), left--) {
      if (!isEvictable(this.#sent.get(id)!)) continue;
      this.abandon(id, error);
      return true;
    }
    return false;
  }

  /** The queries that were sent, the oldest first. */
  *unanswered(): Generator<PendingQuery> {
    for (let id = this.#sent.oldestId; id >= 0; id = this.#sent.nextId(id)) yield this.#sent.get(id)!;
  }

  rejectUnsent(error: UpstreamError): void {
    for (const pending of this.#unsent.splice(0)) pending.reject(error);
  }

  rejectSent(error: UpstreamError): void {
    for (let id = this.#sent.oldestId; id >= 0; id = this.#sent.oldestId) {
      const pending = this.#sent.get(id)!;
      this.#sent.remove(id);
      pending.reject(error);
    }
    this.#silentSince = this.#firstUnanswered = undefined;
    this.isStalled = false;
  }

  #noteAnswer(now: number): void {
    this.#silentSince = this.#sent.size > 0 ? now : undefined;
    this.#firstUnanswered = undefined;
    this.isStalled = false;
  }

  #sweepUnsent(now: number): void {
    const unsent = this.#unsent;
    this.#unsent = unsent.filter(({ deadline }) => deadline > now);
    for (const pending of unsent) {
      if (pending.deadline <= now) pending.reject(this.#error("timed out", { sent: false }));
      else callTrigger(pending, now, true);
    }
  }
}

/** Calls the trigger of a query that is slow, and for the last time when half of its time is over. */
function callTrigger(pending: PendingQuery, now: number, withoutBudget: boolean): void {
  const { trigger, slowAt, lateAt } = pending;
  if (trigger === undefined || now < slowAt) return;
  const isLate = now >= lateAt;
  if (isLate) pending.trigger = undefined;
  else pending.slowAt = lateAt;
  trigger.onSlow({ withoutBudget: isLate || withoutBudget, isLate });
}
