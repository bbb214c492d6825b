/**
 * The bound on TCP clients of all listeners together, and the choice of the connection to close for a new one.
 *
 * The limit does nothing per query. A connection is judged only when a new one needs its slot.
 */

import { IpAddress } from "../../net/ip_address.ts";

/** Maximum of concurrent TCP connections, in all and per address (RFC 9210 §4.2). An IPv6 /56 counts as one address. */
export interface ConnectionLimits {
  readonly maxClients: number;
  readonly maxClientsPerAddress: number;
}

/** The number of connections that several threads share. */
export interface SharedCount {
  /** Connections of the other threads. */
  readonly elsewhere: number;
  /** The part of all slots that each thread has at least, from 0 to 1. */
  readonly share: number;
  /** Publishes the number of connections of this thread. */
  update(own: number): void;
}

const SINGLE_THREAD: SharedCount = { elsewhere: 0, share: 1, update: () => {} };

/** A connection that may be closed to make room for another. */
export interface EvictableConnection extends Disposable {
  /** Resolves when the connection has been closed. */
  readonly closed: Promise<void>;
  /** Whether the client has sent a query and reads its replies. */
  readonly isUseful: boolean;
  /** Time since the client last sent a query or read a reply; 0 while it waits for a reply of ours. */
  idleMs(now: number): number;
}

/** Why a connection is rejected, as text for the log. */
export type Rejection = string;

interface Slot {
  readonly connection: EvictableConnection;
  /** All slots of the same address, including this one. */
  readonly sameAddress: Set<Slot>;
}

/**
 * A connection is never closed sooner than this after its last activity: a query follows the handshake at once. With
 * 1,000 slots, 50,000 new connections per second then find room, more than can be accepted. With five times as long,
 * two thirds of the clients with a query found none at 20,000 per second.
 */
const GRACE_MS = 20;
/** Connections that are compared for one eviction. Comparing all of them each time would help a flood. */
const MAX_COMPARED = 32;
/** Unread reply bytes of all clients together. Clients that never read cannot cost more memory than this. */
const TOTAL_UNREAD_BYTES = 64 << 20;
/** Bounds of one client's part. Beyond it, a client may have one reply of any size. */
const MAX_UNREAD_BYTES = 64 << 10;
const MIN_UNREAD_BYTES = 4 << 10;

/**
 * The slots for TCP clients. When all slots, or all slots of one address, are taken, a new connection replaces the
 * least useful one. So clients with queries are served however many connections do nothing. RFC 7766 §6.2.3: a server
 * may use zero idle timeouts "when they are experiencing heavy load or are under attack".
 *
 * Each set is in the order of a clock's hand: a connection that was compared and stays moves to the end.
 */
export class ConnectionLimit {
  #limits: ConnectionLimits;
  readonly #sharedCount: SharedCount;
  readonly #slots = new Set<Slot>();
  readonly #byNetwork = new Map<string, Set<Slot>>();
  readonly #address = new IpAddress();

  constructor(limits: ConnectionLimits, sharedCount = SINGLE_THREAD) {
    this.#limits = limits;
    this.#sharedCount = sharedCount;
  }

  /** Maximum of unread reply bytes per client. */
  get maxUnreadBytes(): number {
    const equalPart = TOTAL_UNREAD_BYTES / this.#limits.maxClients;
    return Math.max(MIN_UNREAD_BYTES, Math.min(MAX_UNREAD_BYTES, equalPart));
  }

  /** Applies to new connections. */
  reconfigure(limits: ConnectionLimits): void {
    this.#limits = limits;
  }

  /**
   * Gives the connection a slot until it is closed, and may close other connections for it. Returns the reason if there
   * is no slot; the caller then closes the connection.
   *
   * @param now in ms
   */
  admit(connection: EvictableConnection, address: string, now: number): Rejection | undefined {
    const { maxClients, maxClientsPerAddress } = this.#limits;
    const network = this.#networkOf(address);
    const own = this.#byNetwork.get(network);
    if (own && !this.#makeRoom(own, maxClientsPerAddress, now)) {
      return `it has ${maxClientsPerAddress} TCP connections already`;
    }
    if (!this.#makeRoom(this.#slots, this.#limit, now)) {
      return `${maxClients} TCP clients are connected already`;
    }
    this.#add(connection, network);
    return undefined;
  }

  /** Whether a new connection gets a slot without closing another. */
  get hasFreeSlot(): boolean {
    return this.#slots.size < this.#limit;
  }

  /** Closes up to `count` idle connections, the least useful first, and returns how many it closed. */
  closeIdle(count: number, now: number): number {
    let closed = 0;
    while (closed < count && this.#evictOne(this.#slots, now)) closed++;
    return closed;
  }

  /** If one thread has taken all slots, the others still get their share; it gives up slots as it meets new clients. */
  get #limit(): number {
    const { maxClients } = this.#limits;
    const { elsewhere, share } = this.#sharedCount;
    return Math.max(maxClients - elsewhere, Math.floor(maxClients * share));
  }

  /** An IPv4 address, or the /56 of an IPv6 address: one customer has at least that many addresses (RFC 6177 §2). */
  #networkOf(address: string): string {
    const { isIpv4, words } = this.#address.read(address);
    return isIpv4 ? address : `${words[0]}:${words[1]! & ~0xff}`;
  }

  #add(connection: EvictableConnection, network: string): void {
    const sameAddress = this.#byNetwork.get(network) ?? new Set();
    this.#byNetwork.set(network, sameAddress);
    const slot = { connection, sameAddress };
    this.#slots.add(slot);
    this.#sharedCount.update(this.#slots.size);
    sameAddress.add(slot);
    void connection.closed.then(() => this.#remove(slot, network));
  }

  #remove(slot: Slot, network: string): void {
    this.#slots.delete(slot);
    this.#sharedCount.update(this.#slots.size);
    slot.sameAddress.delete(slot);
    if (slot.sameAddress.size === 0 && this.#byNetwork.get(network) === slot.sameAddress) {
      this.#byNetwork.delete(network);
    }
  }

  /**
   * Returns whether there is room below the limit, after closing at most two connections. After a reload, or when
   * another thread claims its share, there may be more connections than the limit. Each new one then reduces them.
   */
  #makeRoom(slots: Set<Slot>, limit: number, now: number): boolean {
    for (let closed = 0; closed < 2 && slots.size >= limit; closed++) {
      if (!this.#evictOne(slots, now)) return false;
    }
    return slots.size < limit;
  }

  /** Closes the least useful of the next few connections. Returns false if all of them must stay. */
  #evictOne(slots: Set<Slot>, now: number): boolean {
    let chosen: Slot | undefined;
    let highest: EvictionScore = { isUseless: false, idleMs: 0 };
    let left = Math.min(MAX_COMPARED, slots.size);
    for (const slot of slots) {
      if (left-- === 0) break;
      slots.delete(slot);
      slots.add(slot);
      const score = evictionScore(slot, now);
      if (!isHigher(score, highest)) continue;
      chosen = slot;
      highest = score;
    }
    if (!chosen) return false;
    this.#slots.delete(chosen);
    chosen.sameAddress.delete(chosen);
    chosen.connection[Symbol.dispose]();
    return true;
  }
}

/** The connection with the highest score is closed first. The first field decides, then the second. */
interface EvictionScore {
  readonly isUseless: boolean;
  /** Idle time times the number of connections of the same address; 0 if the connection must stay. */
  readonly idleMs: number;
}

function evictionScore({ connection, sameAddress }: Slot, now: number): EvictionScore {
  const idleMs = connection.idleMs(now);
  if (idleMs < GRACE_MS) return { isUseless: false, idleMs: 0 };
  return { isUseless: !connection.isUseful, idleMs: idleMs * sameAddress.size };
}

function isHigher(one: EvictionScore, other: EvictionScore): boolean {
  return one.isUseless === other.isUseless ? one.idleMs > other.idleMs : one.isUseless;
}
