import { MAX_EXAMINED } from "../../core/client_shares.ts";
import type { Message } from "../../dns/message.ts";
import type { Failure, UpstreamError } from "../../core/errors.ts";
import type { HedgeTrigger } from "../../core/candidate.ts";
import { MessageIds, QueryTable, type TableLinks } from "./query_table.ts";

/** Queries younger than this, in ms, are not looked at: they are neither slow nor, almost always, too late. */
const YOUNG = 40;
/** One name's few queries can be slow; this many at once, with nothing heard, are slow because the connection is. */
const PROOF = 8;
/** Where older queries wait and nothing was sent since the last sign of life, silence is noticed after this, in ms. */
const LONG_SILENCE = 1000;

/** A query that waits for its answer. Times are in ms on the one clock. */
export interface PendingQuery extends TableLinks<PendingQuery> {
  readonly message: Message;
  readonly deadline: number;
  /** Told when `slowAt` has come; undefined when nobody wants to know any more. */
  trigger: HedgeTrigger | undefined;
  slowAt: number;
  /** When to tell the trigger for the last time. */
  lateAt: number;
  sentAt: number;
  /** Neither is called more than once for each time that it is sent. */
  resolve(response: Message): void;
  reject(error: UpstreamError): void;
}

/** What can be wrong with a query that waits. */
export type Reject = (failure: Failure, facts: { readonly sent: boolean }) => UpstreamError;

/** The queries of one connection that have no answer yet. Whoever removes one completes it. */
export class PendingQueries {
  /** Whether queries wait, one of them is slow, and no sign of life has come since: others had better go elsewhere. */
  isStalled = false;
  readonly #error: Reject;
  readonly #ids = new MessageIds();
  readonly #sent = new QueryTable<PendingQuery>();
  #unsent: PendingQuery[] = [];
  /** When queries that were given up had been sent, by their IDs: their answers still tell how slow the upstream is. */
  readonly #abandonedSentAt = new Map<number, number>();
  /** Since when queries wait without a sign of life, in ms; given-up queries count on. */
  #silentSince: number | undefined;
  /** The first query sent since the last sign of life: older ones can be slow on a connection that is alive. */
  #unheard: PendingQuery | undefined;

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

  /** One that cannot be sent yet. It goes before those with later deadlines: it may have waited on other connections. */
  add(pending: PendingQuery): void {
    let at = this.#unsent.length;
    while (at > 0 && this.#unsent[at - 1]!.deadline > pending.deadline) at--;
    this.#unsent.splice(at, 0, pending);
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** The one with the earliest deadline; not while there is none. */
  takeUnsent(): PendingQuery {
    return this.#unsent.shift()!;
  }

  /** Notes that it is being sent, under the ID returned. */
  markSent(pending: PendingQuery, now: number): number {
    const id = this.#ids.draw(this.#sent);
    pending.sentAt = now;
    this.#silentSince ??= now;
    this.#unheard ??= pending;
    this.#sent.add(id, pending);
    return id;
  }

  find(id: number): PendingQuery | undefined {
    return this.#sent.get(id);
  }

  /** Removes a query whose answer has come, good or bad: its ID is free again, and the connection is alive. */
  remove(pending: PendingQuery, now: number): void {
    this.#sent.remove(pending);
    this.#heard(now);
  }

  /** Gives a query up that has waited too long. Its ID stays in use, for the answer may still come. */
  abandon(pending: PendingQuery, error: UpstreamError): void {
    this.#sent.abandon(pending);
    this.#abandonedSentAt.set(pending.id, pending.sentAt);
    pending.reject(error);
  }

  /**
   * Notes the answer to a query that was given up, which is a sign of life: when the query was sent. Undefined where the
   * ID belongs to no such query.
   */
  receiveLate(id: number, now: number): number | undefined {
    const sentAt = this.#abandonedSentAt.get(id);
    if (sentAt === undefined) return undefined;
    this.#abandonedSentAt.delete(id);
    this.#sent.release(id);
    this.#heard(now);
    return sentAt;
  }

  /**
   * Rejects what is too late, reminds the askers of what is slow, and notices silence.
   *
   * @param slowAfter when a query that has been sent counts as slow, in ms
   */
  sweep(now: number, slowAfter: number): void {
    if (now - (this.#unheard?.sentAt ?? now) >= slowAfter) this.isStalled = true;
    if (now - (this.#silentSince ?? now) >= LONG_SILENCE) this.isStalled = true;
    const isDead = this.isStalled && this.#sent.size >= PROOF;
    for (let pending = this.#sent.oldest; pending && pending.sentAt <= now - YOUNG;) {
      const { younger } = pending;
      if (pending.deadline > now) remind(pending, now, isDead);
      else this.abandon(pending, this.#error("timed out", { sent: true }));
      pending = younger;
    }
    if (this.#sent.size === 0 && !this.isStalled) this.#silentSince = undefined;
    if (this.#unsent.length > 0) this.#lookThroughUnsent(now);
  }

  /** Gives up the eldest query that was sent and may go, if there is one among the first: another one needs its place. */
  evictOldest(mayGo: (pending: PendingQuery) => boolean, error: UpstreamError): boolean {
    let left = MAX_EXAMINED;
    for (let pending = this.#sent.oldest; pending && left > 0; pending = pending.younger, left--) {
      if (!mayGo(pending)) continue;
      this.abandon(pending, error);
      return true;
    }
    return false;
  }

  /** The queries that were sent and have no answer yet, the oldest first. */
  *unanswered(): Generator<PendingQuery> {
    for (let pending = this.#sent.oldest; pending; pending = pending.younger) yield pending;
  }

  rejectUnsent(error: UpstreamError): void {
    for (const pending of this.#unsent.splice(0)) pending.reject(error);
  }

  rejectSent(error: UpstreamError): void {
    for (let pending = this.#sent.oldest; pending; pending = this.#sent.oldest) {
      this.#sent.remove(pending);
      pending.reject(error);
    }
    this.#silentSince = this.#unheard = undefined;
    this.isStalled = false;
  }

  #heard(now: number): void {
    this.#silentSince = this.#sent.size > 0 ? now : undefined;
    this.#unheard = undefined;
    this.isStalled = false;
  }

  #lookThroughUnsent(now: number): void {
    const waiting = this.#unsent;
    this.#unsent = waiting.filter(({ deadline }) => deadline > now);
    for (const pending of waiting) {
      if (pending.deadline <= now) pending.reject(this.#error("timed out", { sent: false }));
      else remind(pending, now, true);
    }
  }
}

/**
 * Tells the trigger that its query is slow, and a second time when there is just time for another attempt. What has
 * not been sent, or waits on a connection that is as good as dead, is free to go elsewhere.
 */
function remind(pending: PendingQuery, now: number, withoutBudget: boolean): void {
  const { trigger, slowAt, lateAt } = pending;
  if (trigger === undefined || now < slowAt) return;
  const isLate = now >= lateAt;
  if (isLate) pending.trigger = undefined;
  else pending.slowAt = lateAt;
  trigger.onSlow({ withoutBudget: isLate || withoutBudget });
}
