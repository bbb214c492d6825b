/**
 * The rate limit per client: token buckets for each IPv4 address and each IPv6 /56, in a table that neither grows nor
 * allocates. UDP and TCP have separate buckets, so queries from forged addresses over UDP do not close TCP to a client.
 *
 * A client has tokens for queries and, at the same rate, for notices: truncated replies or refusals to the queries beyond.
 * A client over its rate is still answered at its rate. A victim whose address is forged gets no more notices than it could
 * have got answers.
 */

import { type IpAddress, IPV4_WORD } from "../../net/ip_address.ts";

/** Within the limit; over it, with a notice; or so far over it that there is no reply. */
export type Measure = "within" | "over" | "far over";

/** The table is set-associative: a hash selects the set of a client, and each set remembers `WAYS` clients. */
const SETS = 8192;
const WAYS = 4;
/** Words of a client's key. */
const KEY_WORDS = 2;
/** Buckets of a client: queries over UDP, queries over TCP, and notices over each. */
const BUCKETS = 4;
const [UDP, TCP, NOTICE] = [0, 1, 2];

/** Random per process, so that an attacker cannot choose addresses in the set of a client. */
const [SEED = 0] = crypto.getRandomValues(new Uint32Array(1));

/**
 * A new client replaces the one in its set whose buckets are full first: a client with full buckets need not be remembered.
 * So a flood from many addresses replaces its own entries, and not those of clients that are being limited.
 */
export class RateLimit {
  readonly #keys = new Int32Array(SETS * WAYS * KEY_WORDS);
  readonly #buckets: TokenBuckets;

  constructor(rate: Rate) {
    this.#buckets = new TokenBuckets(rate, SETS * WAYS * BUCKETS);
  }

  /** Takes a token of the client for a query, or else for a notice. */
  take({ words, isIpv4 }: IpAddress, transport: "udp" | "tcp", now: number): Measure {
    // A customer gets at least a /56 (RFC 6177 §2), and may use any number of addresses in it.
    const slot = isIpv4 ? this.#slot(-1, words[IPV4_WORD]!) : this.#slot(words[0]!, words[1]! & ~0xff);
    const bucket = BUCKETS * slot + (transport === "tcp" ? TCP : UDP);
    if (this.#buckets.take(bucket, now)) return "within";
    return this.#buckets.take(bucket + NOTICE, now) ? "over" : "far over";
  }

  /** The client's slot. `high` is -1 for IPv4; an IPv6 client never has it (ff00::/8 is multicast). */
  #slot(high: number, low: number): number {
    const keys = this.#keys;
    const first = setOf(high, low) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (keys[KEY_WORDS * slot] === high && keys[KEY_WORDS * slot + 1] === low) return slot;
    }
    const slot = this.#firstToBeFull(first);
    keys[KEY_WORDS * slot] = high;
    keys[KEY_WORDS * slot + 1] = low;
    for (let i = 0; i < BUCKETS; i++) this.#buckets.fill(BUCKETS * slot + i);
    return slot;
  }

  /** The slot of the set whose buckets are full first. */
  #firstToBeFull(first: number): number {
    let earliest = first;
    let time = Infinity;
    for (let slot = first; slot < first + WAYS; slot++) {
      const fullAt = this.#fullAt(BUCKETS * slot);
      if (fullAt < time) earliest = slot, time = fullAt;
    }
    return earliest;
  }

  /**
   * When the buckets of a client for queries are full. Those for notices are full at most one token later, because their
   * tokens are taken only while there is none for a query.
   */
  #fullAt(buckets: number): number {
    return Math.max(this.#buckets.fullAt(buckets + UDP), this.#buckets.fullAt(buckets + TCP));
  }
}

/** MurmurHash3's final mix, twice. */
function setOf(high: number, low: number): number {
  return mix(mix(high ^ SEED) ^ low) & SETS - 1;
}

function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ h >>> 16, 0x85ebca6b);
  h = Math.imul(h ^ h >>> 13, 0xc2b2ae35);
  return h ^ h >>> 16;
}

/** Tokens per second, and tokens of a full bucket. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * Token buckets by index. A bucket is one number: the time at which it will be full again (the "theoretical arrival time"
 * of GCRA, ITU-T I.371). No timer refills it. All times are in ms.
 */
export class TokenBuckets {
  /** Time per token. */
  readonly #intervalMs: number;
  /** Time in which an empty bucket becomes full. */
  readonly #fillMs: number;
  readonly #fullAt: Float64Array;

  constructor({ perSecond, burst }: Rate, buckets: number) {
    this.#intervalMs = 1000 / perSecond;
    // A millionth of a token absorbs the rounding of many additions.
    this.#fillMs = (burst + 1e-6) * this.#intervalMs;
    this.#fullAt = new Float64Array(buckets);
  }

  /** Takes a token if there is one. A failed attempt costs nothing, so a client over its rate still gets its tokens. */
  take(bucket: number, now: number): boolean {
    const fullAt = Math.max(this.#fullAt[bucket]!, now) + this.#intervalMs;
    if (fullAt - now > this.#fillMs) return false;
    this.#fullAt[bucket] = fullAt;
    return true;
  }

  /** When the bucket is full again. */
  fullAt(bucket: number): number {
    return this.#fullAt[bucket]!;
  }

  fill(bucket: number): void {
    this.#fullAt[bucket] = 0;
  }
}
