import fc from "fast-check";
import { IpAddress } from "../../../lib/net/ip_address.ts";
import { RateLimit } from "../../../lib/frontend/answer/rate_limit.ts";
import { assert, assertEquals } from "../../support/assert.ts";

const client = (text: string) => new IpAddress().read(text);

function counts(
  limit: RateLimit,
  address: string,
  queries: number,
  now: number,
  transport: "udp" | "tcp" = "udp",
) {
  const found = { within: 0, over: 0, "far over": 0 };
  for (let i = 0; i < queries; i++) found[limit.take(client(address), transport, now)]++;
  return found;
}

/** So many queries from each of so many addresses, one address after the other. */
function flood(limit: RateLimit, addresses: number, now: number, queries = 1): void {
  const from = new IpAddress();
  from.isIpv4 = true;
  for (let i = 0; i < addresses; i++) {
    from.words[3] = i;
    for (let query = 0; query < queries; query++) limit.take(from, "udp", now);
  }
}

Deno.test("RateLimit counts a burst as within, as many again as over, and the rest as far over", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 20 });
  assertEquals(counts(limit, "192.0.2.1", 100, 5000), { within: 20, over: 20, "far over": 60 });
});

Deno.test("RateLimit refills tokens for queries and for notices at the rate", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 20 });
  counts(limit, "192.0.2.1", 100, 5000);
  assertEquals(counts(limit, "192.0.2.1", 100, 6000), { within: 10, over: 10, "far over": 80 });
  assertEquals(counts(limit, "192.0.2.1", 100, 9000), { within: 20, over: 20, "far over": 60 });
});

Deno.test("RateLimit counts one half as within and one half as over when a client sends at twice its rate", () => {
  const limit = new RateLimit({ perSecond: 20, burst: 20 });
  const found = { within: 0, over: 0, "far over": 0 };
  for (let i = 0; i < 4000; i++) found[limit.take(client("192.0.2.1"), "udp", 25 * i)]++;
  // 20 at once, and 20 in each of the hundred seconds.
  assertEquals(found, { within: 2019, over: 1981, "far over": 0 });
});

Deno.test("RateLimit never limits a client that keeps to its rate", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 1 });
  for (let i = 0; i < 1000; i++) assertEquals(limit.take(client("192.0.2.1"), "udp", 100 * i), "within");
});

/** Of which each token is whole ms, so that both ways of counting are exact. */
const RATES = fc.constantFrom(1, 2, 5, 10, 20, 100, 250, 1000);
const BURSTS = fc.integer({ min: 1, max: 30 });

/** A bucket as one would draw it: so many ms worth of tokens, filled as time goes by. */
class Oracle {
  readonly #full: number;
  #held: number;
  #at = 0;

  constructor(readonly interval: number, burst: number) {
    this.#held = this.#full = burst * interval;
  }

  take(now: number): boolean {
    this.#held = Math.min(this.#full, this.#held + now - this.#at);
    this.#at = now;
    if (this.#held < this.interval) return false;
    this.#held -= this.interval;
    return true;
  }
}

const LONG = { maxLength: 300, size: "max" } as const;

Deno.test("RateLimit agrees with two buckets that are refilled step by step, in any schedule", () => {
  const gaps = fc.constantFrom(3, 30, 300, 3000).chain((most) => fc.array(fc.nat(most), LONG));
  fc.assert(fc.property(RATES, BURSTS, fc.array(gaps, { maxLength: 3 }), (perSecond, burst, gaps) => {
    const limit = new RateLimit({ perSecond, burst });
    const [queries, notices] = [1, 2].map(() => new Oracle(1000 / perSecond, burst));
    let now = 0;
    for (const gap of gaps.flat()) {
      now += gap;
      const expected = queries!.take(now) ? "within" : notices!.take(now) ? "over" : "far over";
      assertEquals(limit.take(client("192.0.2.1"), "udp", now), expected);
    }
  }));
});

Deno.test("RateLimit admits the burst plus rate times time when a client is faster than its rate", () => {
  // In tokens. A bucket of one is full, and loses what comes, from the moment of its token to that of the next query.
  const bursts = fc.integer({ min: 2, max: 30 });
  const gaps = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), LONG);
  fc.assert(fc.property(fc.integer({ min: 1, max: 10_000 }), bursts, gaps, (perSecond, burst, gaps) => {
    const limit = new RateLimit({ perSecond, burst });
    const first = 1e8;
    let now = first;
    let within = 0;
    for (const gap of [0, ...gaps]) {
      now += gap * 1000 / perSecond;
      if (limit.take(client("2001:db8::1"), "udp", now) === "within") within++;
    }
    const due = Math.min(gaps.length + 1, burst + (now - first) * perSecond / 1000);
    const rounding = 1e-3; // hundreds of additions, to times of which a digit is up to a millionth of a token
    assert(Math.abs(within - due) <= 1 + rounding, `${within} were answered, and ${due} were due`);
  }));
});

Deno.test("RateLimit distinguishes IPv4 clients by address, and IPv6 clients by /56", () => {
  const limit = new RateLimit({ perSecond: 1, burst: 1 });
  const take = (text: string) => limit.take(client(text), "udp", 1000);
  assertEquals([take("192.0.2.1"), take("192.0.2.2")], ["within", "within"]);
  assertEquals([take("2001:db8:0:100::1"), take("2001:db8:0:1ff:ffff::2")], ["within", "over"]);
  assertEquals(take("2001:db8:0:200::1"), "within");
});

Deno.test("RateLimit has a separate bucket for TCP, so forged queries over UDP do not close it", () => {
  const limit = new RateLimit({ perSecond: 1, burst: 5 });
  counts(limit, "192.0.2.1", 100, 1000);
  assertEquals(counts(limit, "192.0.2.1", 5, 1000, "tcp"), { within: 5, over: 0, "far over": 0 });
});

Deno.test("RateLimit remembers a limited client when a million addresses follow", () => {
  const limit = new RateLimit({ perSecond: 1000, burst: 1000 });
  counts(limit, "192.0.2.1", 5000, 1000);
  flood(limit, 1_000_000, 1000);
  assertEquals(limit.take(client("192.0.2.1"), "udp", 1000), "far over");
});

Deno.test("RateLimit remembers a client limited over TCP when a million addresses follow over UDP", () => {
  const limit = new RateLimit({ perSecond: 1000, burst: 1000 });
  counts(limit, "192.0.2.1", 5000, 1000, "tcp");
  flood(limit, 1_000_000, 1000);
  assertEquals(limit.take(client("192.0.2.1"), "tcp", 1000), "far over");
});

Deno.test("RateLimit gives a new client all of its tokens when it replaces another", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 2 });
  // Each takes four tokens, and the table has places for a third of them.
  flood(limit, 100_000, 1000, 4);
  for (let i = 0; i < 100; i++) {
    assertEquals(counts(limit, `192.0.2.${i}`, 5, 1000), { within: 2, over: 2, "far over": 1 });
  }
});
