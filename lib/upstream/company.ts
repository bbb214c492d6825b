import type { Connection } from "./connection.ts";

/** A connection with this many queries in flight is saturated, and gets company, up to so many (RFC 7766 §6.2.2). */
const SATURATED = 2000;
const MAX_CONNECTIONS = 4;
/** How long to do without company that could not be had, in ms. */
const PAUSE = 1000;

/** Whether the best of an upstream's connections is to have another one beside it. */
export class Company {
  #notBefore = 0;

  isWanted(best: Connection, connections: ReadonlySet<Connection>, now: () => number): boolean {
    if (best.state !== "open" || best.inFlight < SATURATED || connections.size >= MAX_CONNECTIONS) {
      return false;
    }
    const isComing = [...connections].some(({ state }) => state === "connecting");
    return !isComing && now() >= this.#notBefore;
  }

  /** It could not be had. */
  failed(now: number): void {
    this.#notBefore = now + PAUSE;
  }
}
