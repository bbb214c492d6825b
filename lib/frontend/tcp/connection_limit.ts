import { IpAddress } from "../../net/ip_address.ts";

/** TCP connections at once, in all and from one address (RFC 9210 §4.2); the addresses of an IPv6 /56 count as one. */
export interface ConnectionLimits {
  readonly maxClients: number;
  readonly maxClientsPerAddress: number;
}

/** Where several threads give places of the same number. */
export interface SharedCount {
  /** Places that the others have given. */
  readonly elsewhere: number;
  /** The part of all places that each thread has at least, from 0 to 1. */
  readonly share: number;
  /** Tells the others how many this one has given. */
  update(own: number): void;
}

const SINGLE_THREAD: SharedCount = { elsewhere: 0, share: 1, update: () => {} };

/** A connection that has a place. */
export interface EvictableConnection extends Disposable {
  /** Resolves when the connection has been closed. */
  readonly closed: Promise<void>;
  /** Whether it has ever asked, and reads its answers. */
  readonly isOfUse: boolean;
  /** For how long, in ms, it has neither asked nor read an answer; 0 while it waits for us. */
  idleFor(now: number): number;
}

interface Slot {
  readonly guest: EvictableConnection;
  /** All places of the same address, this one among them. */
  readonly neighbours: Set<Slot>;
}

/**
 * Nobody loses a place so many ms after the last sign of use: a query comes on the heels of the handshake. 1,000 places
 * take 50,000 newcomers a second with it, more than can be accepted; with five times as much, where those were 20,000 a
 * second, two thirds of the clients with a query found no place.
 */
const GRACE = 20;
/** Places looked at for one to be given up: to look at all of them each time would be what a flood is after. */
const LOOKS = 32;
/** Those who never asked or never read go before all others, whatever else is known of them. */
const USELESS = 1e12;
/** Octets of answers that wait to be read, from all clients together: those who never read cost no more than this, … */
const UNREAD_BYTES = 64 << 20;
/** … but that each may have one answer of any size beside its share, which is within these. */
const MAX_BYTES = 64 << 10;
const MIN_BYTES = 4 << 10;

/**
 * The places of TCP clients, at all listeners together. When all are taken, or all of one address, a newcomer gets that
 * of the most useless connection: whoever asks is served, however many there are who connect and do nothing. RFC 7766
 * §6.2.3: a server may use zero idle timeouts "when they are experiencing heavy load or are under attack".
 *
 * The order of the sets is that of a clock's hand: who has been looked at, and stays, goes to the end. Nothing is to be
 * done for a query.
 */
export class ConnectionLimit {
  #limits: ConnectionLimits;
  readonly #census: SharedCount;
  readonly #all = new Set<Slot>();
  readonly #byAddress = new Map<string, Set<Slot>>();
  readonly #words = new IpAddress();

  constructor(limits: ConnectionLimits, census = SINGLE_THREAD) {
    this.#limits = limits;
    this.#census = census;
  }

  /** Octets of answers that may wait for one client to read them. */
  get bytesEach(): number {
    return Math.max(MIN_BYTES, Math.min(MAX_BYTES, UNREAD_BYTES / this.#limits.maxClients));
  }

  /** For newcomers from now on. */
  reconfigure(limits: ConnectionLimits): void {
    this.#limits = limits;
  }

  /** Why there is no place for a newcomer from this address; undefined where there is, or has just been made, one. */
  refusal(address: string, now: number): string | undefined {
    const { maxClients, maxClientsPerAddress } = this.#limits;
    const own = this.#byAddress.get(this.#network(address));
    if (own && !this.#hasRoom(own, maxClientsPerAddress, now)) {
      return `it has ${maxClientsPerAddress} TCP connections already`;
    }
    return this.#hasRoom(this.#all, this.#limit, now)
      ? undefined
      : `${maxClients} TCP clients are connected already`;
  }

  /** Whether a newcomer gets a place that no other has to give up. */
  get isFree(): boolean {
    return this.#all.size < this.#limit;
  }

  /** Closes so many idle connections, if there are as many; returns how many it closed. */
  spare(count: number, now: number): number {
    let closed = 0;
    while (closed < count && this.#makeRoom(this.#all, now)) closed++;
    return closed;
  }

  /** Where one thread has taken all, its clients come to give them up as it meets newcomers of its own. */
  get #limit(): number {
    const { maxClients } = this.#limits;
    const { elsewhere, share } = this.#census;
    return Math.max(maxClients - elsewhere, Math.floor(maxClients * share));
  }

  /** An IPv4 address, or the /56 of an IPv6 address: a customer has as many addresses as that (RFC 6177 §2). */
  #network(address: string): string {
    const { isIpv4, words } = this.#words.read(address);
    return isIpv4 ? address : `${words[0]}:${words[1]! & ~0xff}`;
  }

  /** Gives a place until the connection is closed. */
  give(guest: EvictableConnection, address: string): void {
    const network = this.#network(address);
    const neighbours = this.#byAddress.get(network) ?? new Set();
    this.#byAddress.set(network, neighbours);
    const place = { guest, neighbours };
    this.#all.add(place);
    this.#census.update(this.#all.size);
    neighbours.add(place);
    void guest.closed.then(() => this.#free(place, network));
  }

  #free(place: Slot, network: string): void {
    this.#all.delete(place);
    this.#census.update(this.#all.size);
    place.neighbours.delete(place);
    if (place.neighbours.size === 0 && this.#byAddress.get(network) === place.neighbours) {
      this.#byAddress.delete(network);
    }
  }

  /**
   * There may be more than the limit, after a reload or since another thread has its part: then a newcomer closes two, and
   * gets a place where that is enough.
   */
  #hasRoom(places: Set<Slot>, limit: number, now: number): boolean {
    for (let closed = 0; closed < 2 && places.size >= limit; closed++) {
      if (!this.#makeRoom(places, now)) return false;
    }
    return places.size < limit;
  }

  /** Closes the connection that is the greatest burden, if one is, of those that the hand passes. */
  #makeRoom(places: Set<Slot>, now: number): boolean {
    let chosen: Slot | undefined;
    let most = 0;
    let looks = Math.min(LOOKS, places.size);
    for (const place of places) {
      if (looks-- === 0) break;
      places.delete(place);
      places.add(place);
      const burden = evictionScore(place, now);
      if (burden <= most) continue;
      chosen = place;
      most = burden;
    }
    if (!chosen) return false;
    this.#all.delete(chosen);
    chosen.neighbours.delete(chosen);
    chosen.guest[Symbol.dispose]();
    return true;
  }
}

/** The time that all connections of its address would have been idle, if each were so for as long as this one. */
function evictionScore({ guest, neighbours }: Slot, now: number): number {
  const idle = guest.idleFor(now);
  if (idle < GRACE) return 0;
  return idle * neighbours.size * (guest.isOfUse ? 1 : USELESS);
}
