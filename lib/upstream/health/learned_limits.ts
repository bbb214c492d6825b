/** How long a learned number of answers per connection is believed, in ms. */
const ANSWERS_LIFETIME = 30_000;
/** A close sooner than this after the last answer, in ms, says nothing about idle limits. */
const LEAST_IDLE = 500;
/** A connection is closed at this part of the time after which the server would close it. */
const IDLE_MARGIN = 0.85;

/**
 * The limits a server does not tell, learned from how it closes connections: after so many answers, or idle for so long.
 * Once may be chance; the same twice in a row is a limit.
 */
export class LearnedLimits {
  #lastCut = 0;
  #lastOldest: unknown;
  #answers = Infinity;
  #answersUntil = 0;
  #lastIdle = 0;
  #idle = Infinity;
  #told: number | undefined;

  /**
   * It closed with queries in flight, after this many answers. Where the oldest of them is the same as the last time, it
   * is this query that the server closes connections for, and not their number.
   */
  noteClosedWithQueries(answers: number, oldest: unknown, now: number): void {
    if (answers === this.#lastCut && oldest !== this.#lastOldest) {
      this.#answers = answers;
      this.#answersUntil = now + ANSWERS_LIFETIME;
    }
    this.#lastCut = answers;
    this.#lastOldest = oldest;
  }

  /** It closed a connection that had been idle for this long, in ms. */
  noteClosedIdle(idle: number): void {
    if (idle < LEAST_IDLE) return;
    if (Math.abs(idle - this.#lastIdle) <= idle / 4) this.#idle = Math.min(idle, this.#lastIdle);
    this.#lastIdle = idle;
  }

  /** By its own words a connection may be idle for this long, in ms. */
  noteKeepAlive(idle: number): void {
    this.#told = idle;
  }

  /** How many queries to send over one connection. */
  maxQueries(now: number): number {
    return now < this.#answersUntil ? this.#answers : Infinity;
  }

  /** How long to let a connection be idle, in ms; `otherwise` where nothing is known. */
  idleTimeoutMs(otherwise: number): number {
    return this.#told ?? Math.min(this.#idle * IDLE_MARGIN, otherwise);
  }
}
