import { type IpAddress, IPV4_WORD } from "../../net/ip_address.ts";

/** Below the limit; above it, so that a notice of that is due; so far above it that silence is best. */
export type Measure = "within" | "over" | "far over";

/** Clients fall into sets by a hash; each set remembers so many, and the table as many as their product. */
const SETS = 8192;
const WAYS = 4;
/** Words of a key. */
const KEY = 2;
/** Of a client: for queries over UDP and over TCP, and as many for notices that there were too many. */
const BUCKETS = 4;
const [UDP, TCP, NOTICE] = [0, 1, 2];

/** New for each process, so that nobody can choose addresses that share a client's set. */
const [SEED = 0] = crypto.getRandomValues(new Uint32Array(1));

/**
 * Tokens for each IPv4 address and each IPv6 /56, in a table that neither grows nor allocates. UDP and TCP have buckets of
 * their own: what strangers send under a client's address by UDP must not close TCP to it.
 *
 * There are tokens for queries, and at the same rate others for notices to those that got none. So a client that asks too
 * much goes on being answered at its rate; up to twice of it, all the rest is told to come by TCP, or refused there; and
 * whoever's address is forged is sent no more notices than he could have had answers.
 *
 * Who has a full bucket is as good as unknown, so the one who has it the earliest makes room for others: a flood from
 * many addresses pushes out its own and not those that are being limited.
 */
export class RateLimit {
  readonly #keys = new Int32Array(SETS * WAYS * KEY);
  readonly #buckets: TokenBuckets;

  constructor(rate: Rate) {
    this.#buckets = new TokenBuckets(rate, SETS * WAYS * BUCKETS);
  }

  /** Takes a token of this client, if one is left: for the query, or else for a notice. */
  take({ words, isIpv4 }: IpAddress, transport: "udp" | "tcp", now: number): Measure {
    // Customers get a /56 or more each (RFC 6177 §2), and within it whoever wants has as many addresses as he likes.
    const slot = isIpv4 ? this.#slot(-1, words[IPV4_WORD]!) : this.#slot(words[0]!, words[1]! & ~0xff);
    const bucket = BUCKETS * slot + (transport === "tcp" ? TCP : UDP);
    if (this.#buckets.take(bucket, now)) return "within";
    return this.#buckets.take(bucket + NOTICE, now) ? "over" : "far over";
  }

  /** Where the client is; the first of IPv6's words is never -1 for a client (ff00::/8 is multicast). */
  #slot(high: number, low: number): number {
    const keys = this.#keys;
    const first = setOf(high, low) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (keys[KEY * slot] === high && keys[KEY * slot + 1] === low) return slot;
    }
    const slot = this.#earliest(first);
    keys[KEY * slot] = high;
    keys[KEY * slot + 1] = low;
    for (let i = 0; i < BUCKETS; i++) this.#buckets.fill(BUCKETS * slot + i);
    return slot;
  }

  #earliest(first: number): number {
    let earliest = first;
    let time = Infinity;
    for (let slot = first; slot < first + WAYS; slot++) {
      const fullAt = this.#fullAt(BUCKETS * slot);
      if (fullAt < time) earliest = slot, time = fullAt;
    }
    return earliest;
  }

  /**
   * Tokens for notices need not be looked at: they are taken while there is none for a query, so they are never all back
   * more than one token later than those for queries.
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

/** So many a second, and as many at once as the burst has. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * Buckets of tokens, by number. A bucket is one number, the time at which it will be full again (the "theoretical arrival
 * time" of GCRA, ITU-T I.371), so that nothing has to be done as time goes by.
 */
export class TokenBuckets {
  /** In ms, as all times here. */
  readonly #interval: number;
  readonly #longest: number;
  readonly #fullAt: Float64Array;

  constructor({ perSecond, burst }: Rate, buckets: number) {
    this.#interval = 1000 / perSecond;
    // The slack is for the rounding of many additions, and a millionth of a token.
    this.#longest = (burst + 1e-6) * this.#interval;
    this.#fullAt = new Float64Array(buckets);
  }

  /** Takes a token if one is left, and nothing if not: who asks too much goes on getting what he is due. */
  take(bucket: number, now: number): boolean {
    const fullAt = Math.max(this.#fullAt[bucket]!, now) + this.#interval;
    if (fullAt - now > this.#longest) return false;
    this.#fullAt[bucket] = fullAt;
    return true;
  }

  fullAt(bucket: number): number {
    return this.#fullAt[bucket]!;
  }

  fill(bucket: number): void {
    this.#fullAt[bucket] = 0;
  }
}
