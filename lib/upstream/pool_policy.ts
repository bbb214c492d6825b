/** Which of an upstream's connections to use, and when to open another: decisions only, no I/O. Times are in ms. */
import type { Connection, ConnectionState } from "./connection/connection.ts";

/**
 * A connection with this many queries in flight is saturated, and gets another beside it, up to so many (RFC 7766
 * §6.2.2); so does one that has sent as many queries as it may.
 */
const SATURATED = 2000;
const MAX_CONNECTIONS = 4;
/** And so many with those that drain, which may take as long as their queries, and those for one query at a time. */
const MAX_IN_ALL = 16;
/** How long to do without another connection that could not be had. */
const PAUSE = 1000;
/** An unused connection is renewed before the server closes it, but only so many times in a row. */
const MAX_RENEWALS = 3;

/** In which order connections are preferred. */
const RANK: Readonly<Record<ConnectionState, number>> = {
  "open": 0,
  "on trial": 1,
  "connecting": 3,
  "draining": Infinity,
  "closed": Infinity,
};

/**
 * An open one that is stalled comes before one that is not open yet: if it turns out to be dead, its queries are moved; if
 * the other cannot be opened, they were right to stay.
 */
const STALLED = 2;

/** The connection for the next query: one that is not spent, then the best in state, then the least busy. */
export function pick(connections: Iterable<Connection>): Connection | undefined {
  let best: Connection | undefined;
  for (const each of connections) {
    if (each.takesQueries && !each.isIsolated && (!best || isBetter(each, best))) best = each;
  }
  return best;
}

function isBetter(one: Connection, other: Connection): boolean {
  if (one.isExhausted !== other.isExhausted) return !one.isExhausted;
  const difference = rank(one) - rank(other);
  return difference === 0 ? one.inFlight < other.inFlight : difference < 0;
}

function rank({ state, isStalled: stalled }: Connection): number {
  return state === "open" && stalled ? STALLED : RANK[state];
}

/** When to open another connection than the one that is there. */
export class PoolPolicy {
  #notBefore = 0;
  #askedAt = -Infinity;
  /** Between the last two queries. */
  #gap = Infinity;
  #renewals = 0;

  /** A query has come. */
  noteQuery(now: number): void {
    this.#gap = now - this.#askedAt;
    this.#askedAt = now;
    this.#renewals = 0;
  }

  /** Whether the best connection has as much to do as it may, and another one can be tried. */
  shouldGrow(best: Connection, connections: ReadonlySet<Connection>, now: () => number): boolean {
    const isFull = best.isExhausted || best.inFlight >= SATURATED;
    return isFull && best.state === "open" && now() >= this.#notBefore && this.hasRoom(connections);
  }

  /** Whether another connection may be opened: not while one is on its way. */
  hasRoom(connections: ReadonlySet<Connection>): boolean {
    let count = 0;
    for (const { state, takesQueries, isIsolated } of connections) {
      if (!takesQueries || isIsolated) continue;
      if (state !== "open") return false;
      count++;
    }
    return count < MAX_CONNECTIONS && connections.size < MAX_IN_ALL;
  }

  /** Another connection could not be had. */
  noteFailure(now: number): void {
    this.#notBefore = now + PAUSE;
  }

  /**
   * Counts and allows the renewal of a connection that has been idle for this long: where queries come often enough that
   * they would find none otherwise; but not for ever, if no query comes.
   */
  mayPreconnect(idleTimeout: number): boolean {
    if (this.#gap >= idleTimeout * (MAX_RENEWALS + 1) || this.#renewals === MAX_RENEWALS) return false;
    this.#renewals++;
    return true;
  }
}
