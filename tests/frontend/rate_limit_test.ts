import fc from "fast-check";
import { AddressWords } from "../../lib/address_words.ts";
import { RateLimit } from "../../lib/frontend/rate_limit.ts";
import { assertEquals } from "../support/assert.ts";

const client = (text: string) => new AddressWords().read(text);

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

Deno.test("a burst is within the limit, as much again is over it, the rest far over", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 20 });
  assertEquals(counts(limit, "192.0.2.1", 100, 5000), { within: 20, over: 20, "far over": 60 });
});

Deno.test("tokens come back at the rate, first those that are owed", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 20 });
  counts(limit, "192.0.2.1", 100, 5000);
  assertEquals(counts(limit, "192.0.2.1", 100, 6000), { within: 0, over: 10, "far over": 90 });
  assertEquals(counts(limit, "192.0.2.1", 100, 9000), { within: 10, over: 20, "far over": 70 });
  assertEquals(counts(limit, "192.0.2.1", 100, 60_000), { within: 20, over: 20, "far over": 60 });
});

Deno.test("whoever keeps to the rate is never limited", () => {
  const limit = new RateLimit({ perSecond: 10, burst: 1 });
  for (let i = 0; i < 1000; i++) assertEquals(limit.take(client("192.0.2.1"), "udp", 100 * i), "within");
});

Deno.test("over any time a client gets the burst and the rate times the time at most", () => {
  const gaps = fc.array(fc.double({ min: 0, max: 500, noNaN: true }), { maxLength: 300 });
  fc.assert(fc.property(gaps, (gaps) => {
    const limit = new RateLimit({ perSecond: 10, burst: 5 });
    let now = 1000;
    let within = 0;
    for (const gap of gaps) {
      now += gap;
      if (limit.take(client("2001:db8::1"), "udp", now) === "within") within++;
    }
    return within <= 5 + (now - 1000) / 100 + 1e-3;
  }));
});

Deno.test("IPv4 clients are told apart by address, IPv6 clients by /56", () => {
  const limit = new RateLimit({ perSecond: 1, burst: 1 });
  const take = (text: string) => limit.take(client(text), "udp", 1000);
  assertEquals([take("192.0.2.1"), take("192.0.2.2")], ["within", "within"]);
  assertEquals([take("2001:db8:0:100::1"), take("2001:db8:0:1ff:ffff::2")], ["within", "over"]);
  assertEquals(take("2001:db8:0:200::1"), "within");
});

Deno.test("TCP has a bucket of its own: whoever forges a client's address does not shut it out", () => {
  const limit = new RateLimit({ perSecond: 1, burst: 5 });
  counts(limit, "192.0.2.1", 100, 1000);
  assertEquals(counts(limit, "192.0.2.1", 5, 1000, "tcp"), { within: 5, over: 0, "far over": 0 });
});

Deno.test("a million addresses do not make the table forget a client that is being limited", () => {
  const limit = new RateLimit({ perSecond: 1000, burst: 1000 });
  counts(limit, "192.0.2.1", 5000, 1000);
  const flood = new AddressWords();
  for (let i = 0; i < 1_000_000; i++) flood.words[3] = i, flood.isIpv4 = true, limit.take(flood, "udp", 1000);
  assertEquals(limit.take(client("192.0.2.1"), "udp", 1000), "far over");
});
