/** Entries, their keys and lifetimes, by the upstream's count of queries. */
import { assert, assertEquals, assertStrictEquals } from "../../support/assert.ts";
import { Message } from "../../../lib/dns/message.ts";
import { a, aaaa, cname, record, type ResponseFields } from "../../support/packets/packets.ts";
import { addressFor, type AskOptions, CacheFixture, responding } from "./cache_fixture.ts";

Deno.test("a hit is answered at once, without a promise, its TTL counted down (2181-1)", async () => {
  using fixture = new CacheFixture(addressFor(300));
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 300 192.0.2.1");
  await fixture.pass(100);
  const query = fixture.query("a.test");
  const answer = fixture.cache.resolve(query);
  assert(answer instanceof Message);
  assertEquals(query.trace.source, "cache");
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 200 192.0.2.1");
  assertEquals([fixture.asked, fixture.cache.hits, fixture.cache.misses], [1, 2, 1]);
});

Deno.test("an entry is good until its TTL is over, and then asked for again", async () => {
  using fixture = new CacheFixture(addressFor(60), { serveStale: 0 });
  await fixture.ask("a.test");
  await fixture.pass(53.9);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 7 192.0.2.1");
  await fixture.pass(6.1);
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 60 192.0.2.1");
  assertEquals(fixture.asked, 2);
});

Deno.test("the question of an answer is in the case in which the client wrote it (5452-1)", async () => {
  using fixture = new CacheFixture(addressFor(300));
  await fixture.ask("www.Example.test");
  const { message, source } = await fixture.ask("wWW.eXAMPLE.tESt");
  assertEquals([source, message.question?.name, message.answers[0]?.name], [
    "cache",
    "wWW.eXAMPLE.tESt",
    "wWW.eXAMPLE.tESt",
  ]);
});

Deno.test("name, type, DO, CD and RD distinguish entries, AD and the size do not (4035, 3225, 6891-3)", async () => {
  using fixture = new CacheFixture(addressFor(300));
  const own: AskOptions[] = [
    {},
    { type: 65280 },
    { edns: { do: true } },
    { cd: true },
    { rd: false },
    { cd: true, edns: { do: true } },
  ];
  for (const options of own) assertEquals((await fixture.ask("a.test", options)).source, "upstream");
  for (const options of own) assertEquals((await fixture.ask("a.test", options)).source, "cache");
  const shared: AskOptions[] = [{ ad: true }, { edns: {} }, { edns: { size: 4096 } }, { id: 7 }];
  for (const options of shared) assertEquals((await fixture.ask("a.test", options)).source, "cache");
  assertEquals(fixture.asked, own.length);
});

Deno.test("answers fetched with CD do not serve queries without it (4035)", async () => {
  using fixture = new CacheFixture(
    responding(({ message }) =>
      message.flags & 0x10 ? { answers: [a(message.name, "192.0.2.66")] } : { rcode: 2 }
    ),
  );
  assertEquals(await fixture.tell("bogus.test", { cd: true }), "upstream: 0 | 300 192.0.2.66");
  assertEquals(await fixture.tell("bogus.test"), "upstream: 2");
});

Deno.test("OPT is not kept, AA is not passed on, AD is (6891-1, 6840)", async () => {
  const options = [{ code: 12, value: new Uint8Array(20) }];
  using fixture = new CacheFixture(responding(({ message }) => ({
    answers: [a(message.name, "192.0.2.1")],
    aa: true,
    ad: true,
    edns: { options },
  })));
  await fixture.ask("a.test");
  const { message } = await fixture.ask("a.test");
  assertStrictEquals(message.edns, undefined);
  assertEquals([message.flags.aa, message.flags.ad, message.flags.qr], [false, true, true]);
});

const TTLS: readonly (readonly [what: string, fields: ResponseFields, lifetime: number])[] = [
  ["the least of an RRset", { answers: [a("a.test", "192.0.2.1", 90), a("a.test", "192.0.2.2", 30)] }, 30],
  ["the least of a chain", { answers: [cname("a.test", "b.test", 20), a("b.test", "192.0.2.1", 90)] }, 20],
  [
    "the least of all sections",
    { answers: [a("a.test", "192.0.2.1", 90)], additional: [aaaa("ns.test", "fd00::1", 40)] },
    40,
  ],
  ["a day at most", { answers: [a("a.test", "192.0.2.1", 604_800)] }, 86_400],
  ["a day for what has the top bit set", { answers: [a("a.test", "192.0.2.1", 0x80000001)] }, 86_400],
];

for (const [what, fields, lifetime] of TTLS) {
  Deno.test(`an answer lives for ${what} (2181-1)`, async () => {
    using fixture = new CacheFixture(responding(fields), { serveStale: 0 });
    await fixture.ask("a.test");
    await fixture.pass(lifetime * 0.89);
    assertEquals((await fixture.ask("a.test")).source, "cache");
    await fixture.pass(lifetime * 0.11);
    assertEquals((await fixture.ask("a.test")).source, "upstream");
  });
}

Deno.test("a TTL with its top bit set is seven days where the limit allows it (8767-1, 2181-1)", async () => {
  using fixture = new CacheFixture(responding({ answers: [a("a.test", "192.0.2.1", 0xffffffff)] }), {
    maxTtl: 604_800,
  });
  await fixture.ask("a.test");
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 604800 192.0.2.1");
});

Deno.test("a TTL of zero is for the transaction in progress only, whatever the limits (2181-1, 8767-3)", async () => {
  using fixture = new CacheFixture(addressFor(0), { minTtl: 60 });
  for (let i = 1; i <= 3; i++) {
    assertEquals(await fixture.tell("a.test"), "upstream: 0 | 0 192.0.2.1");
    assertEquals([fixture.asked, fixture.cache.store.size], [i, 0]);
  }
});

Deno.test("an uncacheable answer removes the older entry", async () => {
  using fixture = new CacheFixture(addressFor(10));
  await fixture.ask("a.test");
  await fixture.pass(10);
  fixture.upstream.respond = addressFor(0);
  await fixture.ask("a.test");
  assertEquals(fixture.cache.store.size, 0);
});

Deno.test("--min-ttl and --max-ttl also apply to the TTLs that clients see", async () => {
  const answers = [a("a.test", "192.0.2.1", 5), a("a.test", "192.0.2.2", 5000)];
  using fixture = new CacheFixture(responding({ answers }), { minTtl: 60, maxTtl: 600 });
  await fixture.ask("a.test");
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 60 192.0.2.1 | 600 192.0.2.2");
});

const UNKEPT: readonly (readonly [what: string, fields: ResponseFields])[] = [
  ["truncated (2181-1)", { answers: [a("a.test", "192.0.2.1")], tc: true }],
  ["without its question", { question: false }],
  [
    "for one network only (7871)",
    {
      answers: [a("a.test", "192.0.2.1")],
      edns: { options: [{ code: 8, value: Uint8Array.of(0, 1, 0, 24) }] },
    },
  ],
  ["empty, without SOA (2308-1)", {}],
  ["a referral", { authority: [record("test", "NS", Uint8Array.of(0))] }],
];

for (const [what, fields] of UNKEPT) {
  Deno.test(`an answer that is ${what} is not kept`, async () => {
    using fixture = new CacheFixture(responding(fields));
    await fixture.ask("a.test");
    await fixture.ask("a.test");
    assertEquals([fixture.asked, fixture.cache.store.size], [2, 0]);
  });
}

Deno.test("a client subnet option without a scope is no obstacle (7871)", async () => {
  const options = [{ code: 8, value: Uint8Array.of(0, 1, 0, 0) }];
  using fixture = new CacheFixture(responding({ answers: [a("a.test", "192.0.2.1")], edns: { options } }));
  await fixture.ask("a.test");
  assertEquals((await fixture.ask("a.test")).source, "cache");
});

Deno.test("an entry asked for in the last tenth of its life is refreshed in the background, once", async () => {
  using fixture = new CacheFixture(addressFor(100));
  await fixture.ask("a.test");
  await fixture.pass(89.9);
  await fixture.ask("a.test");
  assertEquals(fixture.asked, 1);
  await fixture.pass(0.1);
  const answered = Promise.withResolvers<Message>();
  fixture.upstream.respond = () => answered.promise;
  for (let i = 0; i < 5; i++) assertEquals(await fixture.tell("a.test"), "cache: 0 | 10 192.0.2.1");
  assertEquals([fixture.asked, fixture.cache.prefetches], [2, 1]);

  answered.resolve(await addressFor(100)(fixture.upstream.asked[1]!));
  await fixture.pass(0);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 100 192.0.2.1");
  assertEquals(fixture.asked, 2);
});

Deno.test("a prefetch does not use the client's bytes, which may be another query's by then", async () => {
  using fixture = new CacheFixture(addressFor(100));
  await fixture.ask("a.test");
  await fixture.pass(95);
  const query = fixture.query("a.test");
  await fixture.cache.resolve(query);
  query.message.bytes.fill(0);
  assertEquals(fixture.upstream.names, ["a.test", "a.test"]);
});

Deno.test("flush forgets a name, all below a suffix, or everything", async () => {
  const names = ["example.test", "www.Example.test", "a.b.example.test", "notexample.test", "other.test"];
  async function left(what: Parameters<CacheFixture["cache"]["flush"]>[0]): Promise<string[]> {
    using fixture = new CacheFixture(addressFor(300));
    for (const name of names) {
      await fixture.ask(name);
      await fixture.ask(name, { type: 65280 });
    }
    const flushed = fixture.cache.flush(what);
    await fixture.time.pass(1000);
    const gone = await flushed;
    assertEquals(fixture.cache.store.size, 2 * names.length - gone);
    const asked = fixture.asked;
    for (const name of names) await fixture.ask(name);
    const again = fixture.upstream.names.slice(asked);
    return names.filter((name) => !again.includes(name));
  }
  assertEquals(await left({ name: "EXAMPLE.test." }), names.slice(1));
  assertEquals(await left({ suffix: "example.test" }), names.slice(3));
  assertEquals(await left({ suffix: "." }), []);
  assertEquals(await left({ name: "absent.test" }), names);
  assertEquals(await left("all"), []);
});
