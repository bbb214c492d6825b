import type { Message } from "../dns/message.ts";
import type { Failure, UpstreamError } from "../errors.ts";
import type { Asker } from "../resolver/candidate.ts";
import { InFlight, type Waiting } from "./in_flight.ts";
import { MessageIds } from "./message_ids.ts";

/** Queries younger than this, in ms, are not looked at: they are neither slow nor, almost always, too late. */
const YOUNG = 40;
/** One name's few queries can be slow; this many at once, with nothing heard, are slow because the connection is. */
const PROOF = 8;

/** A query that waits for its answer. Times are in ms on the one clock. */
export interface Pending extends Waiting<Pending> {
  readonly message: Message;
  readonly deadline: number;
  /** Told when `slowAt` has come; undefined when nobody wants to know any more. */
  asker: Asker | undefined;
  slowAt: number;
  /** When to tell the asker for the last time. */
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
  /** Whether a query is slow and nothing has been heard since it was sent: others had better go elsewhere. */
  stalled = false;
  readonly #error: Reject;
  readonly #ids = new MessageIds();
  readonly #sent = new InFlight<Pending>();
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
    return this.#sent.abandoned;
  }

  /** One that cannot be sent yet. */
  add(pending: Pending): void {
    this.#unsent.push(pending);
  }

  get hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  /** The one that has waited longest to be sent; not while there is none. */
  takeUnsent(): Pending {
    return this.#unsent.shift()!;
  }

  /** Notes that it is being sent, under the ID returned. */
  markSent(pending: Pending, now: number): number {
    const id = this.#ids.draw(this.#sent);
    pending.sentAt = now;
    this.#silentSince ??= now;
    this.#unheard ??= pending;
    this.#sent.add(id, pending);
    return id;
  }

  /** Whether an ID is in use. */
  has(id: number): boolean {
    return this.#sent.has(id);
  }

  peek(id: number): Pending | undefined {
    return this.#sent.get(id);
  }

  /** Removes a query whose answer has come. */
  answered(pending: Pending, now: number): void {
    this.#sent.remove(pending);
    this.#silentSince = this.#sent.size > 0 ? now : undefined;
    this.#unheard = undefined;
    this.stalled = false;
  }

  /** Gives a query up whose answer is of no use. */
  abandon(pending: Pending, error: UpstreamError): void {
    this.#sent.abandon(pending);
    pending.reject(error);
  }

  /** An answer has come to nothing that waits; if it was given up, its ID is free again. */
  late(id: number): void {
    this.#sent.release(id);
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
    for (let pending = this.#sent.oldest; pending && pending.sentAt <= now - YOUNG;) {
      const { younger } = pending;
      if (pending.deadline > now) remind(pending, now, isDead);
      else this.abandon(pending, this.#error("timed out", { sent: true }));
      pending = younger;
    }
    if (this.#unsent.length > 0) this.#lookThroughUnsent(now);
    return now - (this.#silentSince ?? now);
  }

  rejectUnsent(error: UpstreamError): void {
    for (const pending of this.#unsent.splice(0)) pending.reject(error);
  }

  rejectSent(error: UpstreamError): void {
    for (let pending = this.#sent.oldest; pending; pending = this.#sent.oldest) {
      this.#sent.remove(pending);
      pending.reject(error);
    }
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
