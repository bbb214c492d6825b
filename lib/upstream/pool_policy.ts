/**
 * Decisions about the connections of one upstream: which one takes the next query, and when to open another.
 * No I/O and no timers. Times are in ms of the monotonic clock.
 */

import type { Connection, ConnectionState } from "./connection/connection.ts";

/**
 * A connection with this many queries in flight is saturated. So is one that has sent as many queries as it may. The
 * upstream then opens another beside it (RFC 7766 §6.2.2).
 */
const SATURATED = 2000;
/** Maximum number of open connections that take queries of any kind. */
const MAX_CONNECTIONS = 4;
/** Maximum number of all connections: draining ones live as long as their queries, isolated ones take one at a time. */
const MAX_IN_ALL = 16;
/** Wait after an additional connection could not be opened. */
const PAUSE_MS = 1000;
/** Maximum number of connections in a row that replace an unused one before the server closes it. */
const MAX_PRECONNECTS = 3;

/** Lower is better. */
const RANK: Readonly<Record<ConnectionState, number>> = {
  "open": 0,
  "on trial": 1,
  "connecting": 3,
  "draining": Infinity,
  "closed": Infinity,
};

/**
 * A stalled open connection ranks before a connecting one. If the stalled one is dead, its queries are sent again over
 * the other. If the other cannot be opened, the queries are better off where they are.
 */
const RANK_STALLED = 2;

/** The connection for the next query: not exhausted, then the best in state, then the least busy. */
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

function rank({ state, isStalled }: Connection): number {
  return state === "open" && isStalled ? RANK_STALLED : RANK[state];
}

/** When to open another connection beside the existing ones. */
export class PoolPolicy {
  #notBefore = 0;
  #lastQueryAt = -Infinity;
  /** Time between the last two queries. */
  #gapMs = Infinity;
  #preconnects = 0;

  /** Called for each query to the upstream. */
  noteQuery(now: number): void {
    this.#gapMs = now - this.#lastQueryAt;
    this.#lastQueryAt = now;
    this.#preconnects = 0;
  }

  /** Whether the best connection is saturated, and another one may be opened. */
  shouldGrow(best: Connection, connections: ReadonlySet<Connection>, now: () => number): boolean {
    const isFull = best.isExhausted || best.inFlight >= SATURATED;
    return isFull && best.state === "open" && now() >= this.#notBefore && this.hasRoom(connections);
  }

  /** Whether another connection may be opened. False while one is connecting. */
  hasRoom(connections: ReadonlySet<Connection>): boolean {
    let count = 0;
    for (const { state, takesQueries, isIsolated } of connections) {
      if (!takesQueries || isIsolated) continue;
      if (state !== "open") return false;
      count++;
    }
    return count < MAX_CONNECTIONS && connections.size < MAX_IN_ALL;
  }

  /** An additional connection could not be opened. */
  noteFailure(now: number): void {
    this.#notBefore = now + PAUSE_MS;
  }

  /**
   * Whether to replace a connection that was idle for this time, and counts the replacement. Yes if queries arrive so
   * often that the next one would probably find no connection, but only `MAX_PRECONNECTS` times without a query.
   */
  preconnect(idleTimeoutMs: number): boolean {
    const isRarelyUsed = this.#gapMs >= idleTimeoutMs * (MAX_PRECONNECTS + 1);
    if (isRarelyUsed || this.#preconnects === MAX_PRECONNECTS) return false;
    this.#preconnects++;
    return true;
  }
}
