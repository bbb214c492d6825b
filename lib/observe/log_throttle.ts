/** How long what has been said once is only counted, in ms. */
const WINDOW = 60_000;

interface Said {
  readonly at: number;
  more: number;
}

/**
 * Keeps what goes wrong again and again from filling the log: the first of a kind is said at once, and of those that
 * follow within a minute only how many there were.
 */
export class LogThrottle {
  readonly #said = new Map<string, Said>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether to say it now; if not, `summarise` is called with the count of its kind when the minute is over. */
  isNews(kind: string, summarise: (more: number) => void): boolean {
    const now = this.#now();
    const said = this.#said.get(kind);
    if (!said || said.more === 0 && now - said.at >= WINDOW) {
      this.#said.set(kind, { at: now, more: 0 });
      return true;
    }
    if (said.more++ > 0) return false;
    const timer = setTimeout(() => {
      this.#said.delete(kind);
      summarise(said.more);
    }, said.at + WINDOW - now);
    Deno.unrefTimer(timer); // a summary is no reason to stay
    return false;
  }
}
