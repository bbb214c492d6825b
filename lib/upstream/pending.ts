import type { Message } from "../dns/message.ts";
import type { Failure, UpstreamError } from "../errors.ts";
import type { Asker } from "../resolver/candidate.ts";
import { MessageIds } from "./message_ids.ts";

/** Queries younger than this, in ms, are not looked at: they are neither slow nor, almost always, too late. */
const YOUNG = 40;
/** One name's few queries can be slow; this many at once, with nothing heard, are slow because the connection is. */
const PROOF = 8;

/** A query that waits for its answer. Times are in ms on the one clock. */
export interface Pending {
  readonly message: Message;
  readonly deadline: number;
  /** Told when `slowAt` has come; undefined when nobody wants to know any more. */
  asker: Asker | undefined;
  slowAt: number;
  /** When to tell the asker for the last time. */
  readonly lateAt: number;
  sentAt: number;
  readonly resolve: (response: Message) => void;
  readonly reject: (error: UpstreamError) => void;
}

/** What can be wrong with a query that waits. */
export type Reject = (failure: Failure, facts: { readonly sent: boolean }) => UpstreamError;

/** The queries of one connection that have no answer yet. Whoever removes one completes it. */
export class PendingQueries {
  /** Whether a query is slow and nothing has been heard since it was sent: others had better go elsewhere. */
  stalled = false;
  readonly #error: Reject;
  readonly #ids = new MessageIds();
  readonly #sent = new Map<number, Pending>();
  /** IDs of queries given up: a late answer may still come, so that they are in use (RFC 7766 §6.2.1). */
  readonly #abandoned = new Set<number>();
  #unsent: Pending[] = [];
  /** Since when a query waits and nothing is heard, in ms; given-up queries count on. */
  #silentSince: number | undefined;
  /** The first query sent since an answer was heard: older ones can be slow on a connection that is alive. */
  #unheard: Pending | undefined;

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
    return this.#abandoned.size;
  }

  add(pending: Pending): void {
    this.#unsent.push(pending);
  }

  /** The one that has waited longest to be sent. */
  nextUnsent(): Pending | undefined {
    return this.#unsent.shift();
  }

  /** Notes that it is being sent, under the ID returned. */
  markSent(pending: Pending, now: number): number {
    const id = this.#ids.draw(this);
    pending.sentAt = now;
    this.#silentSince ??= now;
    this.#unheard ??= pending;
    this.#sent.set(id, pending);
    return id;
  }

  /** Whether an ID is in use. */
  has(id: number): boolean {
    return this.#sent.has(id) || this.#abandoned.has(id);
  }

  peek(id: number): Pending | undefined {
    return this.#sent.get(id);
  }

  /** Removes a query whose answer has come. */
  answered(id: number, now: number): void {
    this.#sent.delete(id);
    this.#silentSince = this.#sent.size > 0 ? now : undefined;
    this.#unheard = undefined;
    this.stalled = false;
  }

  /** Gives a query up whose answer is of no use. */
  abandon(id: number, error: UpstreamError): void {
    const pending = this.#sent.get(id);
    this.#sent.delete(id);
    this.#abandoned.add(id);
    pending?.reject(error);
  }

  /** An answer has come to nothing that waits; if it was given up, its ID is free again. */
  late(id: number): void {
    this.#abandoned.delete(id);
  }

  /**
   * Rejects what is too late, tells the askers of what is slow, and returns for how long queries have waited without an
   * answer to any of them, in ms: liveness follows that, whatever has been written since.
   */
  lookThrough(now: number): number {
    // First, because to tell an asker moves `slowAt`.
    const first = this.#unheard;
    if (first && now >= first.slowAt && now - first.sentAt >= YOUNG) this.stalled = true;
    const isDead = this.stalled && this.#sent.size >= PROOF;
    for (const [id, pending] of this.#sent) {
      // Map keeps the order of insertion: all that follow are younger.
      if (pending.sentAt > now - YOUNG) break;
      if (pending.deadline > now) {
        remind(pending, now, isDead);
        continue;
      }
      this.abandon(id, this.#error("timed out", { sent: true }));
    }
    if (this.#unsent.length > 0) this.#lookThroughUnsent(now);
    return now - (this.#silentSince ?? now);
  }

  rejectUnsent(error: UpstreamError): void {
    for (const pending of this.#unsent.splice(0)) pending.reject(error);
  }

  rejectSent(error: UpstreamError): void {
    for (const pending of this.#sent.values()) pending.reject(error);
    this.#sent.clear();
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
 * Tells the asker that its query is slow, and a second time when there is just time for another attempt. What has
 * not been sent, or waits on a connection that is as good as dead, is free to go elsewhere.
 */
function remind(pending: Pending, now: number, isFree: boolean): void {
  const { asker, slowAt, lateAt } = pending;
  if (asker === undefined || now < slowAt) return;
  const isLate = now >= lateAt;
  if (isLate) pending.asker = undefined;
  else pending.slowAt = lateAt;
  asker.overdue({ isFree: isLate || isFree });
}
