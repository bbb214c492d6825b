/** Limits that a server does not announce, learned from how it closes connections. */

/** A learned number of answers per connection is valid for this time. */
const MAX_ANSWERS_LIFETIME_MS = 30_000;
/** A close sooner than this after the last answer is no evidence of an idle limit. */
const MIN_IDLE_MS = 500;
/** We close a connection at this fraction of the time after which the server would close it. */
const IDLE_MARGIN = 0.85;

/**
 * Some servers close a connection after a fixed number of answers, or after a fixed idle time. Once may be chance. The same
 * number twice in a row is taken as a limit.
 */
export class LearnedLimits {
  #lastAnswers = 0;
  #lastOldest: unknown;
  #maxAnswers = Infinity;
  #maxAnswersUntil = 0;
  #lastIdleMs = 0;
  #idleLimitMs = Infinity;
  #keepAliveMs: number | undefined;

  /**
   * The server closed a connection with queries in flight, after this many answers. If the oldest query is the same as the
   * last time, the server may close connections because of this query, so there is no limit to learn.
   */
  noteClosedWithQueries(answers: number, oldest: unknown, now: number): void {
    if (answers === this.#lastAnswers && oldest !== this.#lastOldest) {
      this.#maxAnswers = answers;
      this.#maxAnswersUntil = now + MAX_ANSWERS_LIFETIME_MS;
    }
    this.#lastAnswers = answers;
    this.#lastOldest = oldest;
  }

  /** The server closed a connection that had been idle for this time. */
  noteClosedIdle(idleMs: number): void {
    if (idleMs < MIN_IDLE_MS) return;
    if (Math.abs(idleMs - this.#lastIdleMs) <= idleMs / 4) {
      this.#idleLimitMs = Math.min(idleMs, this.#lastIdleMs);
    }
    this.#lastIdleMs = idleMs;
  }

  /** The server announced the idle time that it allows (RFC 7828). */
  noteKeepAlive(idleMs: number): void {
    this.#keepAliveMs = idleMs;
  }

  /** Maximum number of queries to send over one connection; Infinity if no limit was learned. */
  maxQueries(now: number): number {
    return now < this.#maxAnswersUntil ? this.#maxAnswers : Infinity;
  }

  /** Maximum idle time of a connection; `defaultMs` if no limit is known. */
  idleTimeoutMs(defaultMs: number): number {
    return this.#keepAliveMs ?? Math.min(this.#idleLimitMs * IDLE_MARGIN, defaultMs);
  }
}
