/** An unused connection is renewed before the server closes it, but only so many times in a row. */
const MAX_RENEWALS = 3;

/**
 * Whether to open a connection ahead of the next query, in place of one that is idle: where queries come often enough that
 * they would find none otherwise; but not for ever, if no query comes. Times are in ms.
 */
export class Renewals {
  #askedAt = -Infinity;
  /** Between the last two queries. */
  #gap = Infinity;
  #count = 0;

  asked(now: number): void {
    this.#gap = now - this.#askedAt;
    this.#askedAt = now;
    this.#count = 0;
  }

  /** Whether a connection that has been idle for so long is worth a successor; each yes counts. */
  allow(idleTimeout: number): boolean {
    if (this.#gap >= idleTimeout * (MAX_RENEWALS + 1) || this.#count === MAX_RENEWALS) return false;
    this.#count++;
    return true;
  }
}
