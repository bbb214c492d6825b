import { type AddressWords, IPV4 } from "../address_words.ts";

/** How many queries a client may send: so many a second, and as many more at once as the burst has. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Below the limit; above it, where a word costs nothing; so far above it that silence is best. */
export type Measure = "within" | "over" | "far over";

/** Clients fall into sets by a hash; each set remembers so many, and the table as many as their product. */
const SETS = 8192;
const WAYS = 4;
/** Words of a key. */
const KEY = 2;

/** New for each process, so that nobody can choose addresses that share a client's set. */
const [SEED = 0] = crypto.getRandomValues(new Uint32Array(1));

/**
 * A bucket of tokens for each IPv4 address and each IPv6 /56, in a table that neither grows nor allocates. UDP and TCP
 * have buckets of their own: what strangers send under a client's address by UDP must not close TCP to it.
 *
 * A bucket is one number, the time at which it will be full again (the "theoretical arrival time" of GCRA, ITU-T I.371).
 * Who has been silent since then is as good as unknown, so the one whose time is the earliest makes room for others:
 * a flood from many addresses pushes out its own and not those that are being limited.
 */
export class RateLimit {
  readonly #interval: number;
  readonly #burst: number;
  readonly #keys = new Int32Array(SETS * WAYS * KEY);
  /** By client: for UDP and for TCP, in ms. */
  readonly #fullAt = new Float64Array(SETS * WAYS * 2);

  constructor({ perSecond, burst }: Rate) {
    this.#interval = 1000 / perSecond;
    this.#burst = burst * this.#interval;
  }

  /** Takes a token of this client, if one is left. */
  take({ words, isIpv4 }: AddressWords, transport: "udp" | "tcp", now: number): Measure {
    // Customers get a /56 or more each (RFC 6177 §2), and within it whoever wants has as many addresses as he likes.
    const slot = isIpv4 ? this.#slot(-1, words[IPV4]!, now) : this.#slot(words[0]!, words[1]! & ~0xff, now);
    const bucket = 2 * slot + (transport === "tcp" ? 1 : 0);
    const fullAt = Math.max(this.#fullAt[bucket]!, now) + this.#interval;
    const missing = fullAt - now;
    // The slack is for the rounding of many additions, and a millionth of a token.
    const slack = this.#interval * 1e-6;
    if (missing > 2 * this.#burst + slack) return "far over";
    this.#fullAt[bucket] = fullAt;
    return missing > this.#burst + slack ? "over" : "within";
  }

  /** Where the client is; the first of IPv6's words is never -1 for a client (ff00::/8 is multicast). */
  #slot(high: number, low: number, now: number): number {
    const keys = this.#keys;
    const first = setOf(high, low) * WAYS;
    let oldest = first;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (keys[KEY * slot] === high && keys[KEY * slot + 1] === low) return slot;
      if (this.#time(slot) < this.#time(oldest)) oldest = slot;
    }
    keys[KEY * oldest] = high;
    keys[KEY * oldest + 1] = low;
    this.#fullAt[2 * oldest] = this.#fullAt[2 * oldest + 1] = now;
    return oldest;
  }

  #time(slot: number): number {
    return Math.max(this.#fullAt[2 * slot]!, this.#fullAt[2 * slot + 1]!);
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
