/** The bound on queries that wait for upstreams, and the choice of the one that must give up its slot. */

import { ClientShares, JOSTLE_AFTER_MS, MAX_EXAMINED } from "../core/client_shares.ts";

/**
 * Maximum number of waiting queries of all clients. Each takes about two kilobytes, with a message of 302 bytes at most, so all
 * take 64 MiB.
 */
const MAX_WAITING = 32_768;
/** Maximum of one network. */
const MAX_SHARE = MAX_WAITING / 2;

/** A question that waits for its answer. The links belong to `WaitingRoom`. */
export interface Waiter {
  readonly network: number;
  /** Since when it has waited, in ms. */
  readonly since: number;
  older: Waiter | undefined;
  younger: Waiter | undefined;
  /** Called when another query gets its slot. The callee must call `leave`. */
  giveUp(): void;
}

/** Slots for waiting queries. One network gets half of them at most. If none is free, one of the oldest gives up its slot. */
export class WaitingRoom {
  readonly #shares = new ClientShares();
  #size = 0;
  #oldest: Waiter | undefined;
  #youngest: Waiter | undefined;

  networkOf(address: string): number {
    return this.#shares.networkOf(address);
  }

  /** Whether a slot is free for a query of this network. Makes an old query give up its slot if necessary. */
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

  /** Takes a slot for a question, as the youngest one. */
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
    waiter.older = waiter.younger = undefined; // a removed waiter must not keep later ones alive
  }

  /** Takes a slot for a query that joins a question in flight. */
  take(network: number): void {
    this.#size++;
    this.#shares.add(network);
  }

  giveBack(network: number): void {
    this.#size--;
    this.#shares.remove(network);
  }
}
