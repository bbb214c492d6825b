import type { Connection } from "./connection.ts";

/**
 * A connection with this many queries in flight is saturated, and gets company, up to so many (RFC 7766 §6.2.2); so does
 * one that is spent.
 */
const SATURATED = 2000;
const MAX_CONNECTIONS = 4;
/** How long to do without company that could not be had, in ms. */
const PAUSE = 1000;

/** Whether the best of an upstream's connections is to have another one beside it. */
export class Company {
  #notBefore = 0;

  isWanted(best: Connection, connections: ReadonlySet<Connection>, now: () => number): boolean {
    const isFull = best.isSpent || best.inFlight >= SATURATED;
    if (best.state !== "open" || !isFull || connections.size >= MAX_CONNECTIONS) return false;
    const isComing = [...connections].some(({ state }) => state === "connecting");
    return !isComing && now() >= this.#notBefore;
  }

  /** It could not be had. */
  failed(now: number): void {
    this.#notBefore = now + PAUSE;
  }
}
