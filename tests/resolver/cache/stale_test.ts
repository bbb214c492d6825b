/** Stale data, in the order of RFC 8767: the upstream first, then stale data, and the upstream again. */
import { Message } from "../../../lib/dns/message.ts";
import { assertEquals } from "../../support/assert.ts";
import { addressFor, CacheFixture, failing, hanging, responding } from "./cache_fixture.ts";
import { response, soa } from "../../support/packets/packets.ts";

const STALE = "stale: 0 | 30 192.0.2.1 EDE 3";

/** A cache whose one entry, a.test, has just expired. */
async function expired(options: ConstructorParameters<typeof CacheFixture>[1] = {}): Promise<CacheFixture> {
  const fixture = new CacheFixture(addressFor(60), options);
  await fixture.ask("a.test");
  await fixture.pass(60);
  return fixture;
}

Deno.test("first the upstream is asked: where it answers, nothing is stale (8767-3)", async () => {
  using fixture = await expired();
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 60 192.0.2.1");
  assertEquals([fixture.asked, fixture.cache.staleHits], [2, 0]);
});

Deno.test("after 1.8 s without an answer stale data is, with a TTL of 30 and its reason (8767-1, 8767-2, 8914-3)", async () => {
  using fixture = await expired();
  fixture.upstream.respond = hanging;
  let told: string | undefined;
  void fixture.tell("a.test").then((text) => told = text);
  await fixture.pass(1.799);
  assertEquals(told, undefined);
  await fixture.pass(0.001);
  assertEquals(told, STALE);
});

Deno.test("later clients do not wait, and the upstream is not asked for 30 s (8767-2)", async () => {
  using fixture = await expired();
  fixture.upstream.respond = failing("timed out");
  assertEquals(await fixture.tell("a.test"), STALE);
  for (let i = 0; i < 29; i++) {
    await fixture.pass(1);
    assertEquals(await fixture.tell("a.test"), STALE);
  }
  assertEquals(fixture.asked, 2);
  await fixture.pass(1);
  assertEquals(await fixture.tell("a.test"), STALE);
  assertEquals(fixture.asked, 3);
});

Deno.test("while the answer is waited for, it takes the place of stale data when it comes (8767-3)", async () => {
  using fixture = await expired();
  const late = Promise.withResolvers<Message>();
  fixture.upstream.respond = () => late.promise;
  const told = fixture.tell("a.test");
  await fixture.pass(3);
  assertEquals(await told, STALE);
  assertEquals(await fixture.tell("a.test"), STALE);
  late.resolve(
    Message.parse(response(fixture.upstream.asked[1]!.message.bytes, { rcode: 3, authority: [soa("test")] })),
  );
  await fixture.pass(0);
  assertEquals(await fixture.tell("a.test"), "cache: 3");
  assertEquals(fixture.asked, 2);
});

Deno.test("when the upstream is back, the first client gets stale data at once and the next a fresh answer", async () => {
  using fixture = await expired();
  fixture.upstream.respond = failing("refused", "connect");
  assertEquals(await fixture.tell("a.test"), STALE);
  fixture.upstream.respond = addressFor(60);
  await fixture.pass(30);
  assertEquals(await fixture.tell("a.test"), STALE);
  await fixture.pass(0);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 60 192.0.2.1");
});

Deno.test("an attempt of long ago is no recent one: the upstream is waited for again (8767-3)", async () => {
  using fixture = await expired();
  fixture.upstream.respond = failing("refused", "connect");
  assertEquals(await fixture.tell("a.test"), STALE);
  fixture.upstream.respond = addressFor(60);
  await fixture.pass(400);
  assertEquals(await fixture.tell("a.test"), "upstream: 0 | 60 192.0.2.1");
});

Deno.test("SERVFAIL and its like leave the entry as it is; stale data is answered (8767-1)", async () => {
  for (const rcode of [1, 2, 4, 5]) {
    using fixture = await expired();
    fixture.upstream.respond = responding({ rcode });
    assertEquals(await fixture.tell("a.test"), STALE);
  }
});

Deno.test("stale data does not cover up that the name's data is not valid", async () => {
  using fixture = await expired();
  const bogus = [{ code: 15, value: Uint8Array.of(0, 6) }];
  fixture.upstream.respond = responding({ rcode: 2, edns: { options: bogus } });
  assertEquals(await fixture.tell("a.test"), "upstream: 2 EDE 6");
});

Deno.test("a stale denial has another extended error (8914-3)", async () => {
  using fixture = new CacheFixture(responding({ rcode: 3, authority: [soa("test", { minimum: 60 })] }));
  await fixture.ask("no.test");
  await fixture.pass(60);
  fixture.upstream.respond = failing("refused", "connect");
  const { told, reasons, message } = await fixture.ask("no.test", { type: "MX" });
  assertEquals([told, reasons, message.authority[0]?.ttl], ["3", [19], 30]);
});

Deno.test("stale data has its time, too (8767-2)", async () => {
  using fixture = await expired({ serveStale: 3_600_000 });
  fixture.upstream.respond = failing("refused", "connect");
  await fixture.pass(3_599);
  assertEquals(await fixture.tell("a.test"), STALE);
  await fixture.pass(1);
  assertEquals(await fixture.tell("a.test"), "error: refused");
});

Deno.test("without --serve-stale there is none", async () => {
  using fixture = await expired({ serveStale: 0 });
  fixture.upstream.respond = failing("refused", "connect");
  assertEquals(await fixture.tell("a.test"), "error: refused");
});

Deno.test("a thousand clients that wait cost one query, one timer, and are all answered", async () => {
  using fixture = await expired();
  fixture.upstream.respond = hanging;
  const timers = fixture.time.set;
  const told = Array.from({ length: 1_000 }, () => fixture.tell("a.test"));
  await fixture.pass(1.8);
  assertEquals(new Set(await Promise.all(told)), new Set([STALE]));
  assertEquals([fixture.asked, fixture.time.set - timers, fixture.time.waiting], [2, 1, 0]);
});

Deno.test("a client whose bytes are used again after its stale answer changes nothing for the exchange", async () => {
  using fixture = await expired();
  fixture.upstream.respond = hanging;
  const query = fixture.query("a.test");
  const answered = fixture.cache.resolve(query);
  await fixture.pass(1.8);
  await answered;
  query.message.bytes.fill(0);
  assertEquals(fixture.upstream.names[1], "a.test");
});
