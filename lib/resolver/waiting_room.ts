import { ClientShares, JOSTLE_AFTER_MS, MAX_EXAMINED } from "../core/client_shares.ts";

/**
 * Queries that may wait for upstreams, from all clients together. While it waits, each takes about two kilobytes, its
 * message of 302 bytes at most included: 64 MiB in all.
 */
const MAX_WAITING = 32_768;
/** What the clients of one network may hold of it. */
const MAX_SHARE = MAX_WAITING / 2;

/** A question that waits for its answer. The links are the room's. */
export interface Waiter {
  readonly network: number;
  /** Since when it has waited, in ms. */
  readonly since: number;
  older: Waiter | undefined;
  younger: Waiter | undefined;
  /** Called when another one needs its place: leaves the room. */
  giveUp(): void;
}

/** Places for queries that wait. No network's clients hold more than half of them, and the eldest make room. */
export class WaitingRoom {
  readonly #shares = new ClientShares();
  #size = 0;
  #oldest: Waiter | undefined;
  #youngest: Waiter | undefined;

  networkOf(address: string): number {
    return this.#shares.networkOf(address);
  }

  /** Whether there is a place for a query of this network, or has just been made one. */
  makeRoom(network: number, now: number): boolean {
    const hasShare = this.#shares.countOf(network) >= MAX_SHARE;
    if (!hasShare && this.#size < MAX_WAITING) return true;
    let left = MAX_EXAMINED;
    for (let each = this.#oldest; each && left > 0 && each.since <= now - JOSTLE_AFTER_MS; left--) {
      const { younger } = each;
      if (!hasShare || each.network === network) {
        each.giveUp();
        return true;
      }
      each = younger;
    }
    return false;
  }

  /** Takes a place for a question; it is younger than all others. */
  enter(waiter: Waiter): void {
    this.take(waiter.network);
    waiter.older = this.#youngest;
    if (this.#youngest) this.#youngest.younger = waiter;
    else this.#oldest = waiter;
    this.#youngest = waiter;
  }

  leave(waiter: Waiter): void {
    this.giveBack(waiter.network);
    const { older, younger } = waiter;
    if (older) older.younger = younger;
    else this.#oldest = younger;
    if (younger) younger.older = older;
    else this.#youngest = older;
    waiter.older = waiter.younger = undefined; // or what is gone would hold what comes
  }

  /** Takes a place for a query that waits for the answer to another one's question. */
  take(network: number): void {
    this.#size++;
    this.#shares.add(network);
  }

  giveBack(network: number): void {
    this.#size--;
    this.#shares.remove(network);
  }
}
