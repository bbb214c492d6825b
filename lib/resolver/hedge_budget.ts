/** Extra queries for each query: 5 %. */
const SHARE = 0.05;
/** What can be saved up, and what is there at the start. */
const MOST = 100;
const START = 10;

/** Keeps the extra load of second attempts to a small share, however slow the upstreams are. */
export class HedgeBudget {
  #left = START;

  /** Counts a query, which earns its share of an extra one. */
  earn(): void {
    this.#left = Math.min(this.#left + SHARE, MOST);
  }

  /** Whether an extra query may be sent, which is then counted as sent. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }
}
