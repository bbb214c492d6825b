/**
 * Limits log lines that a client or a broken disk can repeat: the first line of a kind is logged at once, and further ones
 * within a minute are only counted.
 */

/** Time for which repeated lines of a kind are counted. */
const WINDOW_MS = 60_000;

interface Repetition {
  readonly loggedAt: number;
  more: number;
}

export class LogThrottle {
  readonly #repetitions = new Map<string, Repetition>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Returns whether to log now. Otherwise counts, and calls `summarize` with the count at the end of the minute. */
  admit(kind: string, summarize: (more: number) => void): boolean {
    const now = this.#now();
    const repetition = this.#repetitions.get(kind);
    if (!repetition || repetition.more === 0 && now - repetition.loggedAt >= WINDOW_MS) {
      this.#repetitions.set(kind, { loggedAt: now, more: 0 });
      return true;
    }
    if (repetition.more++ > 0) return false;
    const timer = setTimeout(() => {
      this.#repetitions.delete(kind);
      summarize(repetition.more);
    }, repetition.loggedAt + WINDOW_MS - now);
    Deno.unrefTimer(timer); // a summary does not keep the process running
    return false;
  }
}
